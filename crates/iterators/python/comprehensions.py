import asyncio


async def square(number):
    await asyncio.sleep(0.1)
    return number**2


async def async_range(count):
    for number in range(count):
        await asyncio.sleep(0.1)
        yield number


async def main():
    numbers = [1, 2, 3, 4, 5]
    squares = [await square(number) for number in numbers]
    print(f"Squared (sequential): {squares}")

    squares = [await square(number) async for number in async_range(5)]
    print(f"Squared from a stream: {squares}")

    doubled = [2 * number async for number in async_range(5)]
    print(f"Doubled: {doubled}")

    even = [await square(number) for number in numbers if number % 2 == 0]
    print(f"Even squared: {even}")

    lazy = (await square(number) async for number in async_range(5))
    print("Nothing has been squared yet")
    async for value in lazy:
        print(value)


asyncio.run(main())
