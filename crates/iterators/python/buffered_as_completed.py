import asyncio

AT_ONCE = 2


async def fetch(name, delay):
    await asyncio.sleep(delay)
    print(f"fetched {name}")
    return name


async def use_it(name):
    print(f"using {name}")
    await asyncio.sleep(0.3)


async def buffer_unordered(jobs, limit):
    """Keeps up to `limit` tasks and yields results as they complete."""
    pending = set()
    try:
        for job in jobs:
            pending.add(asyncio.create_task(fetch(*job)))
            if len(pending) == limit:
                done, pending = await asyncio.wait(
                    pending, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    yield task.result()
        for result in asyncio.as_completed(pending):
            yield await result
    finally:
        for task in pending:
            task.cancel()


async def main():
    print("Two at once, as they complete:")
    permits = asyncio.Semaphore(AT_ONCE)

    async def limited(job):
        async with permits:
            return await fetch(*job)

    jobs = [("a", 0.5), ("b", 0.1), ("c", 0.2), ("d", 0.4)]
    tasks = [asyncio.create_task(limited(job)) for job in jobs]
    for result in asyncio.as_completed(tasks):
        print(f"got {await result}")

    jobs = [("a", 0.3), ("b", 0.1), ("c", 0.2), ("d", 0.4)]
    print("With a busy consumer:")
    async for name in buffer_unordered(jobs, AT_ONCE):
        await use_it(name)


asyncio.run(main())
