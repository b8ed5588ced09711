import asyncio
from collections import deque
from contextlib import aclosing
from itertools import count


async def records():
    for number in count():
        await asyncio.sleep(0.1)
        yield {"id": number, "value": 1 + (number * 37 + 10) % 100}


async def process(record):
    await asyncio.sleep(0.85 if record["id"] == 3 else 0.6)
    if record["id"] == 15:
        raise ValueError(f"record {record['id']}: no use for {record['value']}")
    print(f"record {record['id']} done")
    return {**record, "doubled_value": 2 * record["value"]}


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


def save(batch):
    print(f"saved: records {[result['id'] for result in batch]}")
    print(f"doubled: {[result['doubled_value'] for result in batch]}")


async def main():
    batch = []
    try:
        async with aclosing(buffered(records(), 5)) as results:
            async for result in results:
                batch.append(result)
                if len(batch) == 10:
                    save(batch)
                    batch = []
    except ValueError as error:
        print(f"failed: {error}")
    save(batch)
    await asyncio.sleep(0.6)
    print("0.6 s later")


asyncio.run(main())
