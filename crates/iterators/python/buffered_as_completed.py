import asyncio


async def fetch(name, delay):
    await asyncio.sleep(delay)
    print(f"fetched {name}")
    return name


async def use_it(name):
    print(f"using {name}")
    await asyncio.sleep(0.5)


class Gauge:
    def __init__(self):
        self.now = 0
        self.peak = 0

    async def counted(self, job):
        self.now += 1
        self.peak = max(self.peak, self.now)
        name = await fetch(*job)
        self.now -= 1
        return name


async def limited(jobs, limit, work):
    """Yields results as they complete, with at most `limit` jobs at once."""
    permits = asyncio.Semaphore(limit)

    async def one(job):
        async with permits:
            return await work(job)

    # as_completed starts bare coroutines in any order; tasks start in the order of jobs.
    tasks = [asyncio.create_task(one(job)) for job in jobs]
    for result in asyncio.as_completed(tasks):
        yield await result


async def polled_by_consumer(jobs):
    """What Tokio's buffer does and asyncio's tasks never do.

    All jobs wait at the same time, but what comes after a job's wait happens only once
    the consumer is back and asks for it.
    """
    loop = asyncio.get_running_loop()
    woken = asyncio.Queue()
    for name, delay in jobs:
        loop.call_later(delay, woken.put_nowait, name)
    for _ in jobs:
        name = await woken.get()
        print(f"fetched {name}")
        yield name


async def main():
    print("Two at once, as they complete:")
    gauge = Gauge()
    jobs = [("a", 0.5), ("b", 0.1), ("c", 0.2), ("d", 0.4)]
    async for name in limited(jobs, 2, gauge.counted):
        print(f"got {name}")
    print(f"at once, at most: {gauge.peak}")

    jobs = [("a", 0.3), ("b", 0.1), ("c", 0.2)]
    print("A busy consumer stalls them:")
    async for name in polled_by_consumer(jobs):
        await use_it(name)

    print("Spawned, they go on by themselves:")
    async for name in limited(jobs, 3, lambda job: fetch(*job)):
        await use_it(name)


asyncio.run(main())
