import asyncio
import inspect


class Shop:
    def __init__(self):
        self.stock = asyncio.Lock()
        self.till = asyncio.Lock()


async def open_stock(shop):
    await shop.stock.acquire()


async def open_till(shop):
    await shop.till.acquire()


async def sell(shop):
    await open_stock(shop)
    try:
        await asyncio.sleep(0.1)
        await open_till(shop)
        shop.till.release()
    finally:
        shop.stock.release()


async def take_back(shop):
    """The bug: it takes the two locks in the other order."""
    await open_till(shop)
    try:
        await asyncio.sleep(0.1)
        await open_stock(shop)
        shop.stock.release()
    finally:
        shop.till.release()


def waiting_in(task):
    """The functions of this file that the task is in, from the outermost.

    From Python 3.14 on, asyncio.print_call_graph(task) prints them all, with their
    lines. Until then, task.print_stack() prints the outermost one alone.
    """
    names, coroutine = [], task.get_coro()
    while inspect.iscoroutine(coroutine):
        if coroutine.cr_code.co_filename == __file__:
            names.append(coroutine.__name__)
        coroutine = coroutine.cr_await
    return " > ".join(names)


def print_waiting():
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    print(f"{len(tasks)} tasks wait")
    for functions in sorted(map(waiting_in, tasks)):
        print(functions)


async def main():
    shop = Shop()

    print("Two tasks that have not ended after 0.5 s:")
    tasks = [asyncio.create_task(sell(shop)), asyncio.create_task(take_back(shop))]
    _, pending = await asyncio.wait(tasks, timeout=0.5)
    if pending:
        print_waiting()
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)

    print("The same two inside the timeout, which drops them:")
    try:
        async with asyncio.timeout(0.5):
            await asyncio.gather(sell(shop), take_back(shop))
    except TimeoutError:
        print_waiting()


asyncio.run(main())
