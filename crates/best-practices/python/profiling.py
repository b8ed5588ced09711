import asyncio
import time

SLOW = 0.05


class Monitor:
    """Counts the steps of its tasks: asyncio itself only warns of slow ones."""

    def __init__(self):
        self.tasks = self.polls = self.slow = 0

    async def instrument(self, coroutine):
        self.tasks += 1
        return await Steps(coroutine, self)

    def report(self, kind):
        counts = f"tasks {self.tasks}, polls {self.polls}, of which slow {self.slow}"
        print(f"{kind}: {counts}")


class Steps:
    """A coroutine whose steps are counted."""

    def __init__(self, coroutine, monitor):
        self.coroutine, self.monitor = coroutine, monitor

    def __await__(self):
        resume = self.coroutine.send, None
        while True:
            start = time.perf_counter()
            try:
                waits_for = resume[0](resume[1])
            except StopIteration as end:
                return end.value
            finally:
                self.monitor.polls += 1
                self.monitor.slow += time.perf_counter() - start >= SLOW
            try:
                resume = self.coroutine.send, (yield waits_for)
            except BaseException as error:
                resume = self.coroutine.throw, error


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
    monitor = Monitor()
    loop = asyncio.get_running_loop()
    start = loop.time()
    for number in range(3):
        await asyncio.sleep(start + 0.175 * number - loop.time())
        await asyncio.create_task(monitor.instrument(request()))
    monitor.report(kind)


class Flag:
    ready = False


async def wait_by_asking(flag):
    while not flag.ready:
        await asyncio.sleep(0.1)


async def wait_to_be_woken(event):
    await event.wait()


async def query(connection):
    """Takes 100 ms, and then 400 ms of the one connection."""
    await asyncio.sleep(0.1)
    async with connection:
        await asyncio.sleep(0.4)


async def serve(places=None):
    """A query each 200 ms. After 0.7 and 1.5 s it prints how many tasks there are."""
    loop = asyncio.get_running_loop()
    before = len(asyncio.all_tasks())
    start = loop.time()
    connection = asyncio.Lock()
    queries, refused = set(), 0
    for arrivals, at in [(range(4), 0.7), (range(4, 8), 1.5)]:
        for number in arrivals:
            await asyncio.sleep(start + 0.05 + 0.2 * number - loop.time())
            if places is not None and len(queries) == places:
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
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def part(number):
        await asyncio.sleep(start + 0.6 * number - loop.time())

    print("Three requests of each kind:")
    await three("search", search)
    await part(1)
    await three("thumbnail", thumbnail)

    await part(2)
    print("What was slow, in a thread:")
    await three("thumbnail", thumbnail_in_a_thread)

    await part(3)
    print("A task that waits until another is ready, after 0.25 s:")
    delay = 0.25
    monitor, flag = Monitor(), Flag()
    asks = asyncio.create_task(monitor.instrument(wait_by_asking(flag)))
    await asyncio.sleep(delay)
    flag.ready = True
    await asks
    monitor.report("asks")

    await part(4)
    monitor, event = Monitor(), asyncio.Event()
    is_woken = asyncio.create_task(monitor.instrument(wait_to_be_woken(event)))
    await asyncio.sleep(delay)
    event.set()
    await is_woken
    monitor.report("is woken")

    await part(5)
    print("A query each 0.2 s, and each needs the connection for 0.4 s:")
    await serve()
    print("With two places, and who finds none is refused:")
    await part(8)
    await serve(places=2)


asyncio.run(main())
