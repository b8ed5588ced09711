import asyncio
import inspect
import sys
import threading
import time


def waits_in(task):
    """The functions of this file in which the task waits, from the outermost."""
    names, coroutine = [task.get_name()], task.get_coro().cr_await
    while inspect.iscoroutine(coroutine) and is_own(coroutine.cr_code):
        names.append(coroutine.__name__)
        coroutine = coroutine.cr_await
    return " > ".join(names)


def works_in(loop):
    """The same for the task that the loop is working on, asked from another thread."""
    task = asyncio.current_task(loop)
    names, frame = [], sys._current_frames()[threading.main_thread().ident]
    while frame.f_code is not task.get_coro().cr_code:
        if is_own(frame.f_code):
            names.insert(0, frame.f_code.co_name)
        frame = frame.f_back
    return " > ".join([task.get_name(), *names])


def is_own(code):
    return code.co_filename == __file__


def watch(loop, limit, stop):
    """Asks the loop again and again, and reports what it does instead of answering."""
    while not stop.wait(limit):
        answered = threading.Event()
        loop.call_soon_threadsafe(answered.set)
        if not answered.wait(limit):
            print(f"busy: {works_in(loop)}")
            answered.wait()


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
    """Opens the two the other way round."""
    await open_till(shop)
    try:
        await asyncio.sleep(0.1)
        await open_stock(shop)
        shop.stock.release()
    finally:
        shop.till.release()


async def print_labels(seconds):
    """Blocks the loop."""
    time.sleep(seconds)
    print("labels printed")


async def order(id, shop):
    match id:
        case 1:
            await sell(shop)
        case 2:
            await take_back(shop)
        case 3:
            await print_labels(0.3)
        case _:
            await print_labels(0.05)


def create_order(id, shop):
    return asyncio.create_task(order(id, shop), name=f"order id={id}")


def report():
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for path in sorted(map(waits_in, tasks)):
        print(f"waits: {path}")
    print(f"waiting in all: {len(tasks)}")


async def main():
    loop, stop = asyncio.get_running_loop(), threading.Event()
    threading.Thread(target=watch, args=[loop, 0.1, stop], daemon=True).start()
    shop = Shop()
    start = loop.time()

    async def part(number):
        await asyncio.sleep(start + 0.6 * number - loop.time())

    print("Tasks that compute for 0.3 and 0.05 s, and a limit of 0.1 s:")
    await asyncio.sleep(0.05)
    await create_order(3, shop)
    await asyncio.sleep(0.1)
    await create_order(4, shop)

    await part(1)
    print("Two tasks that have not ended after 0.5 s:")
    tasks = [create_order(1, shop), create_order(2, shop)]
    _, pending = await asyncio.wait(tasks, timeout=0.5)
    if pending:
        report()
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)

    await part(2)
    print("The same two without tasks, dropped by their limit:")
    try:
        async with asyncio.timeout(0.5):
            await asyncio.gather(order(1, shop), order(2, shop))
    except TimeoutError:
        report()
    stop.set()


asyncio.run(main())
