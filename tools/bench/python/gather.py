import asyncio
import time


async def yield_and(number):
    await asyncio.sleep(0)
    return number


async def bench(size):
    begun = time.perf_counter()
    results = await asyncio.gather(*map(yield_and, range(size)))
    return time.perf_counter() - begun, len(results), sum(results)
