import asyncio
import time

from queue_1_to_1 import END, consumer


async def producer(queue, first, size):
    for number in range(first, size, 4):
        await queue.put(number)


async def transfer(capacity, size):
    begun = time.perf_counter()
    queue = asyncio.Queue(capacity)
    async with asyncio.TaskGroup() as consumers:
        tasks = [consumers.create_task(consumer(queue)) for _ in range(4)]
        async with asyncio.TaskGroup() as producers:
            for first in range(4):
                producers.create_task(producer(queue, first, size))
        for _ in range(4):
            await queue.put(END)
    items, totals = zip(*(task.result() for task in tasks))
    return time.perf_counter() - begun, sum(items), sum(totals)


async def bench(size):
    return await transfer(2, size)
