import asyncio

PERMITS = 2
WORKERS = 5


async def work(name):
    print(f"W{name} works")
    await asyncio.sleep(0.45)
    if name == 1:
        raise RuntimeError(f"W{name} failed")
    print(f"W{name} is done")


async def work_or_report(name):
    try:
        await work(name)
    except RuntimeError as error:
        print(error)


async def limited(name, semaphore):
    async with semaphore:
        await work_or_report(name)


async def next_request():
    await asyncio.sleep(0.1)


async def main():
    print("Permits inside the tasks:")
    semaphore = asyncio.Semaphore(PERMITS)
    async with asyncio.TaskGroup() as group:
        tasks = []
        for name in range(WORKERS):
            await next_request()
            print(f"making W{name}")
            tasks.append(group.create_task(limited(name, semaphore)))
        print(f"{len(tasks)} tasks")

    print("Permits before the spawn:")
    async with asyncio.TaskGroup() as group:
        for name in range(WORKERS):
            await next_request()
            await semaphore.acquire()
            print(f"making W{name}")
            task = group.create_task(work_or_report(name))
            # A `finally` in the task would not run if it was cancelled before it began.
            task.add_done_callback(lambda _: semaphore.release())


asyncio.run(main())
