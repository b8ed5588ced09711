import asyncio
import time


async def number(number):
    return number


async def bench(size):
    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(number(n)) for n in range(size)]
    results = [task.result() for task in tasks]
    return time.perf_counter() - begun, len(results), sum(results)
