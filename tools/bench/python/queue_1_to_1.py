import asyncio
import time

END = None


async def producer(queue, size):
    for number in range(size):
        await queue.put(number)
    await queue.put(END)


async def consumer(queue):
    items = total = 0
    while (number := await queue.get()) is not END:
        items += 1
        total += number
    return items, total


async def transfer(capacity, size):
    begun = time.perf_counter()
    queue = asyncio.Queue(capacity)
    async with asyncio.TaskGroup() as group:
        group.create_task(producer(queue, size))
        consuming = group.create_task(consumer(queue))
    items, total = consuming.result()
    return time.perf_counter() - begun, items, total


async def bench(size):
    return await transfer(2, size)
