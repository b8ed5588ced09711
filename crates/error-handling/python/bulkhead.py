import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass


class Full(Exception):
    pass


class Bulkhead:
    """Limits how many calls run and how many wait."""

    def __init__(self, max_concurrent, max_queued):
        self._free = max_concurrent + max_queued
        self._running = asyncio.Semaphore(max_concurrent)

    @asynccontextmanager
    async def acquire(self):
        if self._free == 0:
            raise Full("the queue is full")
        self._free -= 1
        try:
            async with self._running:
                yield
        finally:
            self._free += 1


@dataclass
class Services:
    reviews: Bulkhead
    prices: Bulkhead

    async def review(self, item, limit):
        async with asyncio.timeout(limit), self.reviews.acquire():
            return await fetch_review(item)

    async def price(self, item):
        async with self.prices.acquire():
            return await fetch_price(item)


async def fetch_review(item):
    """A service that has become slow."""
    print(f"review {item}: requested")
    await asyncio.sleep(1.5)
    if item == 2:
        raise LookupError(f"nobody has reviewed {item}")
    return 5


async def fetch_price(item):
    """A service that is as fast as ever."""
    print(f"price {item}: requested")
    await asyncio.sleep(0.05)
    return 10 * item


async def report(what, item, request):
    try:
        print(f"{what} {item}: {await request}")
    except Full as error:
        print(f"{what} {item}: rejected: {error}")
    except LookupError as error:
        print(f"{what} {item}: failed: {error}")
    except TimeoutError:
        print(f"{what} {item}: timed out")


async def request_all(services, limits):
    """Requests five reviews, 0.2 s apart, each with a timeout, and then a price."""
    async with asyncio.TaskGroup() as group:
        for item, limit in enumerate(limits, 1):
            review = services.review(item, limit)
            group.create_task(report("review", item, review))
            await asyncio.sleep(0.2)
        await report("price", 1, services.price(1))


async def main():
    print("One bulkhead for both services: 3 run, 2 wait:")
    both = Bulkhead(3, 2)
    await request_all(Services(both, both), [30] * 5)

    print("One for each: 2 reviews run, 2 wait:")
    await request_all(Services(Bulkhead(2, 2), Bulkhead(1, 0)), [30] * 5)

    print("1 review runs, 1 waits, and both time out:")
    services = Services(Bulkhead(1, 1), Bulkhead(1, 0))
    await request_all(services, [0.9, 0.3, 30, 30, 30])


asyncio.run(main())
