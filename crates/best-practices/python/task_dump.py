import asyncio
import inspect
import os
import signal


async def look_up():
    await asyncio.sleep(0.1)


async def connect():
    """A bank that never answers."""
    await asyncio.get_running_loop().create_future()


async def charge():
    await look_up()
    await connect()


async def place_order(stock):
    async with stock:
        await charge()


def waits_in(task):
    """The functions of this file that the task is in, and the line where it waits.

    From Python 3.14 on, asyncio.print_call_graph(task) prints them. task.print_stack()
    prints the outermost one alone.
    """
    names, line, coroutine = [], None, task.get_coro()
    while inspect.iscoroutine(coroutine):
        if coroutine.cr_code.co_filename == __file__:
            names.append(coroutine.__name__)
            line = coroutine.cr_frame.f_lineno
        coroutine = coroutine.cr_await
    return f"{' > '.join(names)}, line {line}"


async def main():
    tasks = []

    def dump(*_):
        # asyncio.all_tasks() has them in any order.
        for task in sorted(asyncio.all_tasks(), key=asyncio.Task.get_name):
            if task in tasks:
                print(f"{task.get_name()}: {waits_in(task)}")

    # Unlike loop.add_signal_handler, this also works while the loop is blocked.
    signal.signal(signal.SIGUSR1, dump)
    stock = asyncio.Lock()
    tasks.append(asyncio.create_task(place_order(stock), name="order 1"))
    await asyncio.sleep(0.1)
    tasks.append(asyncio.create_task(place_order(stock), name="order 2"))
    await asyncio.sleep(0.2)

    print("What the tasks wait for:")
    os.kill(os.getpid(), signal.SIGUSR1)
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    print(f"Tasks after the end: {len(asyncio.all_tasks()) - 1}")


asyncio.run(main())
