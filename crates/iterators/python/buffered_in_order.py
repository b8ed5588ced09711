import asyncio
from collections import deque
from contextlib import aclosing

AT_ONCE = 2


async def fetch(name, delay):
    await asyncio.sleep(delay)
    print(f"fetched {name}")
    return name


async def use_it(name):
    print(f"using {name}")
    await asyncio.sleep(0.3)


async def buffered(jobs, limit):
    """Keeps up to `limit` tasks and yields their results in order."""
    window = deque()
    try:
        for job in jobs:
            window.append(asyncio.create_task(fetch(*job)))
            if len(window) == limit:
                yield await window.popleft()
        while window:
            yield await window.popleft()
    finally:
        for task in window:
            task.cancel()


async def main():
    print("Two at once, in order:")
    jobs = [("a", 0.4), ("b", 0.1), ("c", 0.2), ("d", 0.1)]
    async for name in buffered(jobs, AT_ONCE):
        print(f"got {name}")

    jobs = [("a", 0.1), ("b", 0.2), ("c", 0.5), ("d", 0.1)]
    print("With a busy consumer:")
    async for name in buffered(jobs, AT_ONCE):
        await use_it(name)

    # Whatever runs at the same time is a task in asyncio, so this is the same again.
    print("With a busy consumer, each in a task of its own:")
    async for name in buffered(jobs, AT_ONCE):
        await use_it(name)

    print("Left after the first:")
    async with aclosing(buffered(jobs, AT_ONCE)) as results:
        async for name in results:
            print(f"got {name}")
            break
    await asyncio.sleep(0.3)
    print("0.3 s later")


asyncio.run(main())
