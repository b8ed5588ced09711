import asyncio
from itertools import count


async def every(period, items):
    for item in items:
        await asyncio.sleep(period)
        yield item


async def from_iterable(items):
    for item in items:
        yield item


async def pull(iterator):
    return await anext(iterator)


async def azip(left, right):
    """Pairs two async iterators, waiting for both at the same time."""
    while True:
        try:
            async with asyncio.TaskGroup() as group:
                pair = [group.create_task(pull(left)), group.create_task(pull(right))]
        except* StopAsyncIteration:
            pair = None
        if pair is None:
            return
        yield pair[0].result(), pair[1].result()


async def aenumerate(items, start=0):
    number = start
    async for item in items:
        yield number, item
        number += 1


async def main():
    names = every(0.2, ["Ada", "Grace", "Edsger"])
    years = every(0.3, [1815, 1906])
    async for name, year in azip(names, years):
        print(f"{name}, born {year}")
    print("The shorter side has ended")

    async for index, letter in aenumerate(every(0.1, ["a", "b"])):
        print(f"{index}: {letter}")

    async for place, letter in azip(from_iterable(count(1)), every(0.1, ["a", "b"])):
        print(f"{place}. {letter}")

    longer = from_iterable(range(1, 6))
    async for number, letter in azip(longer, from_iterable(["a", "b"])):
        print(f"{number} with {letter}")
    rest = [number async for number in longer]
    print(f"What the zip has left of 1 to 5: {rest}")


asyncio.run(main())
