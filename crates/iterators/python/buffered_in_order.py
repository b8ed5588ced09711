import asyncio
from collections import deque


async def fetch(name, delay):
    await asyncio.sleep(delay)
    print(f"fetched {name}")
    return name


async def use_it(name):
    print(f"using {name}")
    await asyncio.sleep(0.5)


async def buffered(jobs, limit):
    """Keeps up to `limit` tasks and yields their results in order."""
    window = deque()
    for job in jobs:
        window.append(asyncio.create_task(fetch(*job)))
        if len(window) == limit:
            yield await window.popleft()
    while window:
        yield await window.popleft()


async def polled_by_consumer(jobs):
    """What Tokio's buffer does and asyncio's tasks never do.

    All jobs wait at the same time, but what comes after a job's wait happens only once
    the consumer is back and asks for it.
    """
    loop = asyncio.get_running_loop()
    woken = asyncio.Queue()
    for name, delay in jobs:
        loop.call_later(delay, woken.put_nowait, name)
    for _ in jobs:
        name = await woken.get()
        print(f"fetched {name}")
        yield name


async def main():
    print("Two at once, in order:")
    async for name in buffered([("a", 0.4), ("b", 0.1), ("c", 0.2)], 2):
        print(f"got {name}")

    jobs = [("a", 0.1), ("b", 0.2), ("c", 0.3)]
    print("A busy consumer stalls them:")
    async for name in polled_by_consumer(jobs):
        await use_it(name)

    print("Spawned, they go on by themselves:")
    async for name in buffered(jobs, 3):
        await use_it(name)


asyncio.run(main())
