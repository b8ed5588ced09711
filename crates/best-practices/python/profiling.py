import asyncio
import collections
import logging
import re
import time

SLOW = 0.2


class SlowSteps(logging.Handler):
    """Counts the steps that asyncio's debug mode reports as slow, by task."""

    def __init__(self):
        super().__init__()
        self.counts = collections.Counter()

    def emit(self, record):
        # "Executing <Task pending name='search' coro=<..> ..> took 0.400 seconds"
        if match := re.match(r"Executing .*name='(\w+)'.* took", record.getMessage()):
            self.counts[match[1]] += 1


slow_steps = SlowSteps()


async def search():
    for _database in range(2):
        await asyncio.sleep(0.05)


def draw():
    """Stands for a calculation, or a call that blocks."""
    time.sleep(0.4)


async def thumbnail():
    await asyncio.sleep(0.05)
    draw()


async def thumbnail_in_a_thread():
    await asyncio.sleep(0.05)
    await asyncio.to_thread(draw)


async def three(kind, request):
    slow_steps.counts.clear()
    for _ in range(3):
        await asyncio.create_task(request(), name=kind)
    print(f"{kind}: 3 tasks, {slow_steps.counts[kind]} slow polls")


async def query(connection):
    """Holds the one connection for 200 ms."""
    async with connection:
        await asyncio.sleep(0.2)


async def serve(permits=None):
    """Starts two queries each time one has ended. Prints how many tasks there are."""
    before = len(asyncio.all_tasks())
    connection = asyncio.Lock()
    queries, refused = set(), 0
    for _ in range(4):
        for _ in range(2):
            if permits is not None and len(queries) == permits:
                refused += 1
            else:
                queries.add(asyncio.create_task(query(connection)))
        live = len(asyncio.all_tasks()) - before
        print(f"live tasks: {live}, refused: {refused}")
        _, queries = await asyncio.wait(
            queries, return_when=asyncio.FIRST_COMPLETED
        )
    for task in queries:
        task.cancel()
    await asyncio.gather(*queries, return_exceptions=True)


async def main():
    logging.getLogger("asyncio").addHandler(slow_steps)
    asyncio.get_running_loop().slow_callback_duration = SLOW

    print("Three requests of each kind:")
    await three("search", search)
    await three("thumbnail", thumbnail)

    print("The slow part in a thread:")
    await three("thumbnail", thumbnail_in_a_thread)

    print("Two queries arrive while one is answered:")
    await serve()
    print("With two permits; a query without one is refused:")
    await serve(permits=2)


asyncio.run(main(), debug=True)
