import asyncio

END = object()


async def count(last, delay):
    for number in range(1, last + 1):
        await asyncio.sleep(delay)
        yield number


async def merge(*streams):
    """Yields whatever any of the streams yields, until all have ended."""
    queue = asyncio.Queue()

    async def forward(stream):
        async for item in stream:
            await queue.put(item)

    async def forward_all():
        try:
            async with asyncio.TaskGroup() as group:
                for stream in streams:
                    group.create_task(forward(stream))
        finally:
            queue.put_nowait(END)

    forwarding = asyncio.create_task(forward_all())
    try:
        while (item := await queue.get()) is not END:
            yield item
        await forwarding
    finally:
        forwarding.cancel()


async def main():
    print("Two of different types:")
    prices = (f"price {number}" async for number in count(4, 0.2))
    news = (f"news: headline {number}" async for number in count(2, 0.5))
    async for event in merge(prices, news):
        print(event)

    print("Any number of them:")

    async def readings(name, delay):
        async for number in count(2, delay):
            yield f"{name} {number}"

    sensors = [("north", 0.7), ("east", 0.3), ("south", 0.5)]
    async for reading in merge(*(readings(*sensor) for sensor in sensors)):
        print(reading)

    print("With a body that takes 0.3 s:")
    fast = (f"fast {number}" async for number in count(3, 0.2))
    slow = (f"slow {number}" async for number in count(2, 0.65))
    async for item in merge(fast, slow):
        print(item)
        await asyncio.sleep(0.3)


asyncio.run(main())
