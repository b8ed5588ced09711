import asyncio
from contextlib import asynccontextmanager


class ResizableLimit:
    """A limit of concurrent calls that can be changed at any time."""

    def __init__(self, limit):
        self._limit = limit
        self._taken = 0
        self._changed = asyncio.Condition()
        self._turn = asyncio.Lock()

    async def resize(self, limit):
        async with self._changed:
            self._limit = limit
            self._changed.notify_all()

    @asynccontextmanager
    async def acquire(self, weight=1):
        # First come, first served: only the first waiter looks.
        async with self._turn, self._changed:
            await self._changed.wait_for(lambda: self._taken + weight <= self._limit)
            self._taken += weight
        try:
            yield
        finally:
            self._taken -= weight
            async with self._changed:
                self._changed.notify_all()


async def call(name, weight, limit):
    async with limit.acquire(weight):
        print(f"{name} runs")
        await asyncio.sleep(0.1)


async def resize_later(limit, size):
    await asyncio.sleep(0.05)
    await limit.resize(size)


async def main():
    limit = ResizableLimit(1)
    print("One at a time, then two:")
    calls = [call(name, 1, limit) for name in "ABCD"]
    await asyncio.gather(*calls, resize_later(limit, 2))

    print("A heavy call takes both permits:")
    await asyncio.gather(call("Heavy", 2, limit), call("Light", 1, limit))

    print("Two at a time, then one:")
    calls = [call(name, 1, limit) for name in "EFGH"]
    await asyncio.gather(*calls, resize_later(limit, 1))


asyncio.run(main())
