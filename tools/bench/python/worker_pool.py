import asyncio
import time

from run import twin

WorkerPool = twin("concurrency/worker_pool").WorkerPool
CAPACITY = 2


async def number(number):
    return number


async def submit_all(pool, size):
    for number in range(size):
        await pool.submit(number, number)
    await pool.finish()


async def bench(size):
    begun = time.perf_counter()
    pool = WorkerPool(4, CAPACITY, number)
    submitting = asyncio.create_task(submit_all(pool, size))
    items = total = 0
    async for _, result in pool.results():
        items += 1
        total += result
    await submitting
    return time.perf_counter() - begun, items, total
