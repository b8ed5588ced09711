import time


async def numbers(size):
    for number in range(size):
        yield number


async def bench(size):
    begun = time.perf_counter()
    items = total = 0
    async for number in numbers(size):
        items += 1
        total += number
    return time.perf_counter() - begun, items, total
