import asyncio

AT_ONCE = 2


async def fetch(name, delay):
    await asyncio.sleep(delay)
    print(f"fetched {name}")
    return name


async def use_it(name):
    print(f"using {name}")
    await asyncio.sleep(0.3)


def start(jobs, group):
    """Starts a task for each job; at most AT_ONCE of them fetch at the same time."""
    permits = asyncio.Semaphore(AT_ONCE)

    async def limited(job):
        async with permits:
            return await fetch(*job)

    return [group.create_task(limited(job)) for job in jobs]


async def main():
    print("Two at once, in order:")
    jobs = [("a", 0.4), ("b", 0.1), ("c", 0.2), ("d", 0.1)]
    async with asyncio.TaskGroup() as group:
        for task in start(jobs, group):
            print(f"got {await task}")

    jobs = [("a", 0.1), ("b", 0.2), ("c", 0.5), ("d", 0.1)]
    print("With a busy consumer:")
    async with asyncio.TaskGroup() as group:
        for task in start(jobs, group):
            await use_it(await task)

    # Whatever runs at the same time is a task in asyncio, so this is the same again.
    print("With a busy consumer, each in a task of its own:")
    async with asyncio.TaskGroup() as group:
        for task in start(jobs, group):
            await use_it(await task)


asyncio.run(main())
