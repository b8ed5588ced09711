import asyncio


async def square(number):
    await asyncio.sleep(0.1)
    return number**2


async def async_range(count, delay):
    for number in range(count):
        await asyncio.sleep(delay)
        yield number


async def main():
    delay = 0.05
    numbers = [1, 2, 3, 4, 5]
    squares = [await square(number) for number in numbers]
    print(f"Squared (sequential): {squares}")

    doubled = {number: 2 * number async for number in async_range(3, delay)}
    print(f"Doubled, in a dictionary: {doubled}")

    total = sum([number async for number in async_range(4, delay)])
    print(f"The sum: {total}")

    even = [await square(number) for number in numbers if number % 2 == 0]
    print(f"Even squared: {even}")

    squares = [square(number) for number in numbers]
    print(f"Without await, not squared: {len(squares)}")
    print(f"Squared (at once): {await asyncio.gather(*squares)}")

    lazy = (await square(number) async for number in async_range(3, delay))
    print("Nothing has been squared yet")
    async for value in lazy:
        print(value)


asyncio.run(main())
