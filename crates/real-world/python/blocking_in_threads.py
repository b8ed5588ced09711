import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor


def blocking_operation(name, seconds):
    print(f"{name} begins")
    time.sleep(seconds)
    print(f"{name} ends")
    if name == "B":
        raise OSError(f"Blocking operation {name} failed")
    return f"Blocking operation {name} completed"


def in_steps(stop):
    """Ten steps of 0.1 s."""
    for step in range(1, 11):
        if stop.is_set():
            print(f"stopped before step {step}")
            return step - 1
        time.sleep(0.1)
        print(f"step {step} is done")
    return 10


async def run_stoppable(pool, call):
    stop = threading.Event()
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, call, stop)
    finally:
        stop.set()


async def main():
    loop = asyncio.get_running_loop()
    patience = 0.1

    def run(name, seconds):
        return loop.run_in_executor(pool, blocking_operation, name, seconds)

    print("Four calls, two at a time:")
    # Left by `with`, it would wait for its calls and block the loop meanwhile.
    pool = ThreadPoolExecutor(max_workers=2)
    calls = [("A", 0.2), ("B", 0.3), ("C", 0.2), ("D", 0.25)]
    running = [run(name, seconds) for name, seconds in calls]
    for result in await asyncio.gather(*running, return_exceptions=True):
        print(result)

    print("The caller of E times out; E runs on, and F waits for it:")
    pool = ThreadPoolExecutor(max_workers=1)
    try:
        async with asyncio.timeout(patience):
            await run("E", 0.3)
    except TimeoutError:
        print("gave up")
    print(await run("F", 0.1))

    print("The caller of H gives up while H waits for G, so H never runs:")

    async def waiting():
        try:
            async with asyncio.timeout(patience):
                await run("H", 0.1)
        except TimeoutError:
            print("gave up")

    result, _ = await asyncio.gather(run("G", 0.2), waiting())
    print(result)
    await asyncio.sleep(2 * patience)
    print("0.2 s later")

    print("A call that asks between its steps:")
    try:
        async with asyncio.timeout(2.5 * patience):
            await run_stoppable(pool, in_steps)
    except TimeoutError:
        print("gave up")
    print(await run("I", 0.1))

    print("The end of the program waits for what runs:")
    try:
        async with asyncio.timeout(patience):
            await run("J", 0.3)
    except TimeoutError:
        print("gave up")
    print("the last line of main")


asyncio.run(main())
