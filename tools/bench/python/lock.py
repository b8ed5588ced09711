import asyncio
import time

TASKS = 10


class Shared:
    total = 0


async def add(lock, shared, first, size):
    for number in range(first, size, TASKS):
        async with lock:
            await asyncio.sleep(0)
            shared.total += number


async def bench(size):
    begun = time.perf_counter()
    lock, shared = asyncio.Lock(), Shared()
    async with asyncio.TaskGroup() as group:
        for first in range(TASKS):
            group.create_task(add(lock, shared, first, size))
    return time.perf_counter() - begun, size, shared.total
