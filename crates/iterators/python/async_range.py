import asyncio


async def async_range(stop):
    for number in range(stop):
        await asyncio.sleep(0.1)
        yield number


async def main():
    async for number in async_range(3):
        print(number)


asyncio.run(main())
