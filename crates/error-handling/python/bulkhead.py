import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass


class Full(Exception):
    pass


class Bulkhead:
    """So many calls at once, and so many in line."""

    def __init__(self, at_once, waiting):
        self._places = at_once + waiting
        self._turns = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def turn(self):
        if self._places == 0:
            raise Full("too many wait already")
        self._places -= 1
        try:
            async with self._turns:
                yield
        finally:
            self._places += 1


@dataclass
class Services:
    reviews: Bulkhead
    prices: Bulkhead

    async def review(self, item, patience):
        async with asyncio.timeout(patience), self.reviews.turn():
            return await fetch_review(item)

    async def price(self, item):
        async with self.prices.turn():
            return await fetch_price(item)


async def fetch_review(item):
    print(f"review {item}: asking")
    await asyncio.sleep(0.6)
    if item == 2:
        raise LookupError(f"nobody has reviewed {item}")
    return 5


async def fetch_price(item):
    print(f"price {item}: asking")
    await asyncio.sleep(0.05)
    return 10 * item


async def nested(bulkhead, patience):
    async with asyncio.timeout(patience), bulkhead.turn():
        async with bulkhead.turn():
            return await fetch_price(1)


async def report(what, item, request):
    try:
        print(f"{what} {item}: {await request}")
    except Full as error:
        print(f"{what} {item}: refused: {error}")
    except LookupError as error:
        print(f"{what} {item}: failed: {error}")
    except TimeoutError:
        print(f"{what} {item}: gave up")


async def ask_all(services, patience):
    async with asyncio.TaskGroup() as group:
        for item, seconds in enumerate(patience, 1):
            review = services.review(item, seconds)
            group.create_task(report("review", item, review))
            await asyncio.sleep(0.1)
        await report("price", 1, services.price(1))


async def main():
    print("One for both services: three at once, two in line:")
    both = Bulkhead(3, 2)
    await ask_all(Services(both, both), [None] * 5)

    print("One for each: two reviews at once, two in line:")
    await ask_all(Services(Bulkhead(2, 2), Bulkhead(1, 0)), [None] * 5)

    print("One review at once, one in line, both of which give up:")
    services = Services(Bulkhead(1, 1), Bulkhead(1, 0))
    await ask_all(services, [0.45, 0.15, None, None, None])

    print("A call within a call, with one in line, and with none:")
    for waiting in [1, 0]:
        await report("price", 1, nested(Bulkhead(1, waiting), 0.3))


asyncio.run(main())
