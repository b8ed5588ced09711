import asyncio
import time
from itertools import pairwise

AT_ONCE = 5
BATCH = 10


async def records():
    start = time.monotonic()
    for number in range(20):
        record = {
            "id": number,
            "value": 1 + (number * 37 + 10) % 100,
            "timestamp": time.monotonic() - start,
        }
        await asyncio.sleep(0.1)
        yield record


class Gauge:
    def __init__(self):
        self.now = 0
        self.peak = 0

    def __enter__(self):
        self.now += 1
        self.peak = max(self.peak, self.now)

    def __exit__(self, *exc_info):
        self.now -= 1


async def process(record, gauge):
    with gauge:
        await asyncio.sleep(0.6)
    return {**record, "doubled_value": 2 * record["value"]}


def report(results):
    for result in results:
        print(
            f"Processed: id {result['id']}, value {result['value']},"
            f" doubled {result['doubled_value']}"
        )
    apart = [b["timestamp"] - a["timestamp"] for a, b in pairwise(results)]
    if apart:
        # The loop may fire a timer early, by less than the resolution of its clock.
        at_least = round(min(apart), 3) >= 0.1
        print(f"Timestamps at least 0.1 s apart: {'yes' if at_least else 'no'}")


async def main():
    permits = asyncio.Semaphore(AT_ONCE)
    gauge = Gauge()

    async def bounded(record):
        async with permits:
            return await process(record, gauge)

    batch = []
    async for record in records():
        batch.append(asyncio.create_task(bounded(record)))
        if len(batch) == BATCH:
            report(await asyncio.gather(*batch))
            batch = []
    report(await asyncio.gather(*batch))
    print(f"At work at once, at most: {gauge.peak}")


asyncio.run(main())
