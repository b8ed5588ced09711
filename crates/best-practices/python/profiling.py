import asyncio
import collections
import logging
import re
import time

SLOW = 0.05


class SlowSteps(logging.Handler):
    """Counts the steps that asyncio's debug mode reports as slow, by task."""

    def __init__(self):
        super().__init__()
        self.counts = collections.Counter()

    def emit(self, record):
        # "Executing <Task pending name='search' coro=<..> ..> took 0.100 seconds"
        if match := re.match(r"Executing .*name='(\w+)'.* took", record.getMessage()):
            self.counts[match[1]] += 1


slow_steps = SlowSteps()


async def search():
    for _database in range(2):
        await asyncio.sleep(0.05)


def draw():
    """Stands for a calculation, or a call that blocks."""
    time.sleep(0.1)


async def thumbnail():
    await asyncio.sleep(0.05)
    draw()


async def thumbnail_in_a_thread():
    await asyncio.sleep(0.05)
    await asyncio.to_thread(draw)


async def three(kind, request):
    slow_steps.counts.clear()
    loop = asyncio.get_running_loop()
    start = loop.time()
    for number in range(3):
        await asyncio.sleep(start + 0.175 * number - loop.time())
        await asyncio.create_task(request(), name=kind)
    print(f"{kind}: 3 tasks, {slow_steps.counts[kind]} slow polls")


async def query(connection):
    """Takes 100 ms, and then holds the one connection for 400 ms."""
    await asyncio.sleep(0.1)
    async with connection:
        await asyncio.sleep(0.4)


async def serve(permits=None):
    """Starts a query each 200 ms. Prints after 0.7 and 1.5 s how many tasks there are."""
    loop = asyncio.get_running_loop()
    before = len(asyncio.all_tasks())
    start = loop.time()
    connection = asyncio.Lock()
    queries, refused = set(), 0
    for arrivals, at in [(range(4), 0.7), (range(4, 8), 1.5)]:
        for number in arrivals:
            await asyncio.sleep(start + 0.05 + 0.2 * number - loop.time())
            if permits is not None and len(queries) == permits:
                refused += 1
                continue
            task = asyncio.create_task(query(connection))
            queries.add(task)
            task.add_done_callback(queries.discard)
        await asyncio.sleep(start + at - loop.time())
        live = len(asyncio.all_tasks()) - before
        print(f"live tasks: {live}, refused: {refused}")
    for task in queries:
        task.cancel()
    await asyncio.gather(*queries, return_exceptions=True)


async def main():
    logging.getLogger("asyncio").addHandler(slow_steps)
    loop = asyncio.get_running_loop()
    loop.slow_callback_duration = SLOW
    start = loop.time()

    async def part(number):
        await asyncio.sleep(start + 0.6 * number - loop.time())

    print("Three requests of each kind:")
    await three("search", search)
    await part(1)
    await three("thumbnail", thumbnail)

    await part(2)
    print("The slow part in a thread:")
    await three("thumbnail", thumbnail_in_a_thread)

    await part(3)
    print("A query each 0.2 s, and each needs the connection for 0.4 s:")
    await serve()
    print("With two permits; a query without one is refused:")
    await part(6)
    await serve(permits=2)


asyncio.run(main(), debug=True)
