import asyncio


async def pausable(items, running):
    """Yields the items, and none while `running` is cleared."""
    await running.wait()
    async for item in items:
        # An item that comes during a pause waits here.
        await running.wait()
        yield item


async def pages():
    for page in (1, 2, 3):
        await asyncio.sleep(0.2)
        yield f"page {page}"


async def ticks(start):
    loop = asyncio.get_running_loop()
    for number in range(8):
        await asyncio.sleep(start + number * 0.1 - loop.time())
        yield "tick"


async def print_all(items):
    async for item in items:
        print(item)


async def control(running):
    for delay, change in (
        (0.15, running.set),
        (0.3, running.clear),
        (0.3, running.set),
    ):
        await asyncio.sleep(delay)
        print("paused" if change == running.clear else "runs")
        change()


async def main():
    print("Pages, read while it runs:")
    running = asyncio.Event()
    await asyncio.gather(print_all(pausable(pages(), running)), control(running))

    print("Ticks, missed while it is paused:")
    running = asyncio.Event()
    start = asyncio.get_running_loop().time()
    await asyncio.gather(print_all(pausable(ticks(start), running)), control(running))


asyncio.run(main())
