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
    print("From 1 to 3:")
    async for number in Counter(1, 4, delay=0.1):
        print(number)

    print("A timeout of 0.3 s, three times:")
    slow = Counter(1, 5, delay=0.5)
    for _ in range(3):
        try:
            print(f"number {await asyncio.wait_for(anext(slow), 0.3)}")
        except StopAsyncIteration:
            print("the end")
        except TimeoutError:
            print("nothing yet")


asyncio.run(main())
