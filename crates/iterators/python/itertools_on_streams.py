import asyncio


async def slow(numbers):
    for number in numbers:
        await asyncio.sleep(0.1)
        yield number


async def islice(items, start, stop):
    index = 0
    async for item in items:
        if index >= start:
            yield item
        index += 1
        if index == stop:
            break


async def takewhile(condition, items):
    async for item in items:
        if not condition(item):
            break
        yield item


async def dropwhile(condition, items):
    dropping = True
    async for item in items:
        dropping = dropping and condition(item)
        if not dropping:
            yield item


async def chain(*sources):
    for source in sources:
        async for item in source:
            yield item


async def accumulate(items):
    total = 0
    async for item in items:
        total += item
        yield total


async def show(name, numbers):
    print(f"{name}: {[number async for number in numbers]}")


async def main():
    numbers = [1, 4, 2, 3]
    await show("islice", islice(slow(numbers), 1, 3))
    await show("takewhile", takewhile(lambda n: n != 2, slow(numbers)))
    await show("dropwhile", dropwhile(lambda n: n != 4, slow(numbers)))
    await show("chain", chain(slow([1, 2]), slow([3])))
    chained = (same async for n in slow([1, 2]) for same in [n, n])
    await show("chain.from_iterable", chained)
    await show("accumulate", accumulate(slow(numbers)))

    product = 1
    async for number in slow(numbers):
        product *= number
    print(f"reduce: {product}")
    async for number in slow(numbers):
        if number == 4:
            print("any: true")
            break
    else:
        print("any: false")
    async for number in slow(numbers):
        if number <= 0:
            print("all: false")
            break
    else:
        print("all: true")

    print("Behind the item at which it stopped:")
    lent = slow(numbers)
    await show("takewhile", takewhile(lambda n: n != 4, lent))
    await show("the rest", lent)


asyncio.run(main())
