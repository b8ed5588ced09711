import asyncio
import time

TASKS = 100


async def take(semaphore, first, size):
    total = 0
    for number in range(first, size, TASKS):
        async with semaphore:
            await asyncio.sleep(0)
            total += number
    return total


async def bench(size):
    begun = time.perf_counter()
    semaphore = asyncio.Semaphore(10)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(take(semaphore, n, size)) for n in range(TASKS)]
    total = sum(task.result() for task in tasks)
    return time.perf_counter() - begun, size, total
