import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor


async def hello():
    print("Hello")
    await asyncio.sleep(0.2)
    return "World"


async def count():
    for number in range(1, 3):
        print(f"Count {number}")
        await asyncio.sleep(0.1)


def blocking_call(name):
    time.sleep(0.1)
    print(f"The {name} call ends")


async def call_twice():
    calls = [asyncio.to_thread(blocking_call, name) for name in ["first", "second"]]
    await asyncio.gather(*calls)


async def finish(task):
    await task


def both_flavours():
    print("One thread, the caller's:")
    with asyncio.Runner() as runner:
        print(runner.run(hello()))
        task = runner.get_loop().create_task(count())
        time.sleep(0.5)
        print("Half a second of something else")
        runner.run(finish(task))

    print("Threads of its own:")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    print(asyncio.run_coroutine_threadsafe(hello(), loop).result())
    task = asyncio.run_coroutine_threadsafe(count(), loop)
    time.sleep(0.5)
    print("Half a second of something else")
    task.result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()

    print("One thread for blocking calls, of which there are two:")
    loop = asyncio.SelectorEventLoop()
    loop.set_default_executor(ThreadPoolExecutor(max_workers=1))
    loop.run_until_complete(call_twice())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


both_flavours()
