import asyncio


class Counter:
    """Yields the numbers from start up to but not including end."""

    def __init__(self, start, end, delay):
        self.next = start
        self.end = end
        self.delay = delay

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self.next >= self.end:
            raise StopAsyncIteration
        await asyncio.sleep(self.delay)
        number = self.next
        self.next += 1
        return number


async def main():
    async for number in Counter(1, 4, delay=0.1):
        print(number)


asyncio.run(main())
