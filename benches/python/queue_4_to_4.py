import asyncio
import time

END = None


async def producer(queue, first, size):
    for number in range(first, size, 4):
        await queue.put(number)


async def consumer(queue):
    items = total = 0
    while (number := await queue.get()) is not END:
        items += 1
        total += number
    return items, total


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
