import asyncio


async def every(delay, items):
    for item in items:
        yield item
        await asyncio.sleep(delay)


async def azip(left, right):
    """Pairs two async iterators, waiting for both at the same time."""
    while True:
        # Waits for both even if one has ended: the other one's anext would go on running,
        # and asked again it says "anext(): asynchronous generator is already running".
        pair = await asyncio.gather(anext(left), anext(right), return_exceptions=True)
        for item in pair:
            if isinstance(item, StopAsyncIteration):
                return
            if isinstance(item, BaseException):
                raise item
        yield pair


async def aenumerate(items, start=0):
    number = start
    async for item in items:
        yield number, item
        number += 1


async def main():
    print("Waiting for both:")
    names = every(0.2, ["Ada", "Grace", "Edsger"])
    years = every(0.3, [1815, 1906])
    async for name, year in azip(names, years):
        print(f"{name}, born {year}")

    print("Waiting for one, then for the other:")
    names = every(0.2, ["Ada", "Grace", "Edsger"])
    years = every(0.3, [1815, 1906])
    async for name in names:
        try:
            print(f"{name}, born {await anext(years)}")
        except StopAsyncIteration:
            break

    print("Numbered from 0:")
    async for index, letter in aenumerate(every(0.1, ["a", "b"])):
        print(f"{index}: {letter}")

    print("Numbered from 1:")
    async for place, letter in aenumerate(every(0.1, ["a", "b"]), start=1):
        print(f"{place}: {letter}")

    print("What a lent stream has left of 1 to 5:")
    longer = every(0.1, range(1, 6))
    async for number, letter in azip(longer, every(0.2, ["a", "b"])):
        print(f"{number} with {letter}")
    print([number async for number in longer])


asyncio.run(main())
