import asyncio
from collections import deque
from contextlib import aclosing
from itertools import count


async def records():
    for number in count():
        await asyncio.sleep(0.1)
        yield number


async def process(record):
    await asyncio.sleep(0.85 if record == 3 else 0.6)
    if record == 15:
        raise ValueError(f"no use for record {record}")
    print(f"record {record} done")
    return 2 * record


async def buffered(items, limit):
    """Processes up to `limit` records at once and yields the results in order."""
    window = deque()
    try:
        async for record in items:
            window.append(asyncio.create_task(process(record)))
            if len(window) == limit:
                yield await window.popleft()
        while window:
            yield await window.popleft()
    finally:
        for task in window:
            task.cancel()


async def main():
    batch = []
    try:
        async with aclosing(buffered(records(), 5)) as results:
            async for result in results:
                batch.append(result)
                if len(batch) == 10:
                    print(f"saved: {batch}")
                    batch = []
    except ValueError as error:
        print(f"failed: {error}")
    print(f"saved the rest: {batch}")
    await asyncio.sleep(0.6)
    print("0.6 s later")


asyncio.run(main())
