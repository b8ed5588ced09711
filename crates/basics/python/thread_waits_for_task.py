import asyncio
import threading
import time
from concurrent.futures import CancelledError

LIMIT = 0.2


async def look_up(name, seconds):
    await asyncio.sleep(seconds)
    return f"found {name}"


def wait_or_cancel(future, limit):
    try:
        return future.result(limit)
    except TimeoutError:
        future.cancel()
        return future.result()


def in_a_thread(loop):
    print("Two tasks with a time limit:")
    for name, seconds, limit in [("Ada", 0.1, 100 * LIMIT), ("Ben", 60, LIMIT)]:
        future = asyncio.run_coroutine_threadsafe(look_up(name, seconds), loop)
        try:
            print(f"The task has {wait_or_cancel(future, limit)}")
        except CancelledError:
            print("Cancelled")

    print("A wait that times out, and the task keeps running:")
    go = asyncio.Event()

    async def look_up_later():
        # Stands for a look-up that takes longer than the limit.
        await go.wait()
        return await look_up("Cleo", 0.1)

    future = asyncio.run_coroutine_threadsafe(look_up_later(), loop)
    try:
        print(f"The task has {future.result(LIMIT)}")
    except TimeoutError:
        print("Not yet")
    loop.call_soon_threadsafe(go.set)
    print(f"The task has {future.result()}")


def cancel_after(limit, task, loop):
    time.sleep(limit)
    print("The thread cancels the task")
    loop.call_soon_threadsafe(task.cancel)


async def main():
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(in_a_thread, loop)

    print("A thread cancels a task that async code awaits:")
    task = asyncio.create_task(look_up("Dan", 60))
    threading.Thread(target=cancel_after, args=(LIMIT, task, loop)).start()
    try:
        print(f"The task has {await task}")
    except asyncio.CancelledError:
        print("Cancelled")


asyncio.run(main())
