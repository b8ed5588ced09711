import asyncio

# A limit of the whole program.
CONNECTIONS = asyncio.Semaphore(2)


async def work(name):
    print(f"W{name} works")
    await asyncio.sleep(0.45)
    print(f"W{name} is done")


async def limited(name, semaphore):
    async with semaphore:
        await work(name)


async def connect(name):
    async with CONNECTIONS:
        await work(name)


async def next_request():
    await asyncio.sleep(0.1)


async def main():
    print("Permits inside the tasks:")
    semaphore = asyncio.Semaphore(2)
    async with asyncio.TaskGroup() as group:
        tasks = []
        for name in range(5):
            await next_request()
            print(f"making W{name}")
            tasks.append(group.create_task(limited(name, semaphore)))
        print(f"{len(tasks)} tasks")

    print("Permits before the spawn:")
    async with asyncio.TaskGroup() as group:
        for name in range(5):
            await next_request()
            await semaphore.acquire()
            print(f"making W{name}")
            task = group.create_task(work(name))
            # A `finally` in the task would not run if it was cancelled before it began.
            task.add_done_callback(lambda _: semaphore.release())

    print("Permits of the whole program:")
    await asyncio.gather(connect(0), connect(1), connect(2))


asyncio.run(main())
