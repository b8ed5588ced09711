import asyncio


class Reset(Exception):
    pass


async def averager():
    total = count = average = 0
    while True:
        try:
            number = yield average
        except Reset:
            total = count = average = 0
            continue
        await asyncio.sleep(0.1)
        total += number
        count += 1
        average = total // count


async def averages(numbers):
    total = count = 0
    async for number in numbers:
        await asyncio.sleep(0.1)
        total += number
        count += 1
        yield total // count


async def each_of(numbers):
    for number in numbers:
        yield number


async def main():
    print("One number, one answer:")
    generator = averager()
    # The first anext runs it up to its first yield.
    await anext(generator)
    for number in [10, 20, 60]:
        print(await generator.asend(number))

    print("After a reset:")
    await generator.athrow(Reset)
    print(await generator.asend(7))

    print("From stream to stream:")
    async for average in averages(each_of([10, 20, 60])):
        print(average)


asyncio.run(main())
