import asyncio
from itertools import cycle, islice


async def async_range(start, end, delay):
    for number in range(start, end):
        await asyncio.sleep(delay)
        yield number


async def readings(count):
    print("The generator starts")
    for reading in islice(cycle([81, 14, 3, 94, 35]), count):
        await asyncio.sleep(0.1)
        yield reading
    print("The generator ends")


async def main():
    print("Below 3:")
    async for number in async_range(0, 3, delay=0.1):
        print(number)

    print("From 1 to 4, half a second apart, in a task:")

    async def show(numbers):
        async for number in numbers:
            print(number)

    from_one = async_range(1, 5, delay=0.5)
    await asyncio.create_task(show(from_one))

    generator = readings(6)
    print("Nothing has been generated yet")
    async for reading in generator:
        print(f"Generated: {reading}")


asyncio.run(main())
