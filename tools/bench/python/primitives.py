import asyncio
import resource
from functools import partial
from time import perf_counter

from run import shared, twin


async def number(number):
    return number


async def yield_and(number):
    await asyncio.sleep(0)
    return number


async def spawn(size):
    begun = perf_counter()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(number(n)) for n in range(size)]
    results = [task.result() for task in tasks]
    return perf_counter() - begun, len(results), sum(results)


async def gather(size):
    begun = perf_counter()
    results = await asyncio.gather(*map(yield_and, range(size)))
    return perf_counter() - begun, len(results), sum(results)


END = None


async def put_all(queue, numbers):
    for number in numbers:
        await queue.put(number)


async def get_all(queue):
    items = total = 0
    while (number := await queue.get()) is not END:
        items += 1
        total += number
    return items, total


async def transfer(capacity, sides, size):
    begun = perf_counter()
    queue = asyncio.Queue(capacity)
    async with asyncio.TaskGroup() as consumers:
        tasks = [consumers.create_task(get_all(queue)) for _ in range(sides)]
        async with asyncio.TaskGroup() as producers:
            for first in range(sides):
                producers.create_task(put_all(queue, range(first, size, sides)))
        await put_all(queue, [END] * sides)
    items, totals = zip(*(task.result() for task in tasks))
    return perf_counter() - begun, sum(items), sum(totals)


queue_1_to_1 = partial(transfer, 2, 1)
queue_4_to_4 = partial(transfer, 2, 4)
queue_4_to_4_for_100 = partial(transfer, 100, 4)


async def semaphore(size):
    semaphore = asyncio.Semaphore(10)

    async def take(numbers):
        total = 0
        for number in numbers:
            async with semaphore:
                await asyncio.sleep(0)
                total += number
        return len(numbers), total

    return await shared(100, size, take)


async def lock(size):
    lock = asyncio.Lock()
    total = 0

    async def add(numbers):
        nonlocal total
        for number in numbers:
            async with lock:
                await asyncio.sleep(0)
                total += number
        return len(numbers), 0

    seconds, items, _ = await shared(10, size, add)
    return seconds, items, total


async def generate(size):
    for number in range(size):
        yield number


async def generator(size):
    begun = perf_counter()
    items = total = 0
    async for number in generate(size):
        items += 1
        total += number
    return perf_counter() - begun, items, total


async def worker_pool(size):
    WorkerPool = twin("concurrency/worker_pool").WorkerPool
    items = total = 0

    def count(result):
        nonlocal items, total
        items += 1
        total += result.result()

    begun = perf_counter()
    async with WorkerPool(4, 2, number) as pool:
        for n in range(size):
            result = await pool.submit(n)
            result.add_done_callback(count)
    return perf_counter() - begun, items, total


def memory():
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


async def sleeper_memory(size):
    before = memory()
    tasks = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(size)]
    # All of them begin before this goes on.
    await asyncio.sleep(0.2)
    needed = memory() - before
    items = sum(not task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return needed, items, 0
