import asyncio

END = object()


async def count(last, period):
    for number in range(1, last + 1):
        await asyncio.sleep(period)
        yield number


async def merge(*streams):
    """Yields whatever any of the streams yields, until all have ended."""
    queue = asyncio.Queue(maxsize=1)

    async def forward(stream):
        async for item in stream:
            await queue.put(item)
        await queue.put(END)

    tasks = [asyncio.create_task(forward(stream)) for stream in streams]
    try:
        running = len(tasks)
        while running:
            item = await queue.get()
            if item is END:
                running -= 1
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def main():
    prices = (f"price {number}" async for number in count(4, 0.2))
    news = (f"news: headline {number}" async for number in count(2, 0.5))
    async for event in merge(prices, news):
        print(event)
    print("Both have ended")

    async def readings(name, period):
        async for number in count(2, period):
            yield f"{name} {number}"

    sensors = [("north", 0.7), ("east", 0.3), ("south", 0.5)]
    async for reading in merge(*(readings(*sensor) for sensor in sensors)):
        print(reading)
    print("All have ended")


asyncio.run(main())
