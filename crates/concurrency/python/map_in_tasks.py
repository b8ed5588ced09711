import asyncio


async def map_in_tasks(items, permits, f):
    """Calls `f` for each item, each with a permit. The first error stops the rest."""
    tasks = []
    async with asyncio.TaskGroup() as group:
        for item in items:
            # Before the task is made, so that there are no more of them than permits.
            await permits.acquire()
            task = group.create_task(f(*item))
            task.add_done_callback(lambda _: permits.release())
            tasks.append(task)
    return [task.result() for task in tasks]


class NotFound(Exception):
    pass


async def fetch(name, delay):
    await asyncio.sleep(delay)
    if name == "missing":
        raise NotFound(f"{name} not found")
    print(f"fetched {name}")
    return name.upper()


async def main():
    print("Three at once, for two lists:")
    permits = asyncio.Semaphore(3)
    first = [("a", 0.4), ("b", 0.1), ("c", 0.2), ("d", 0.2)]
    second = [("e", 0.25), ("f", 0.2)]
    first, second = await asyncio.gather(
        map_in_tasks(first, permits, fetch), map_in_tasks(second, permits, fetch)
    )
    print(f"{', '.join(first)}; {', '.join(second)}")

    print("With one that fails:")
    faulty = [("a", 0.1), ("b", 0.4), ("missing", 0.25), ("d", 0.1)]
    try:
        await map_in_tasks(faulty, permits, fetch)
    except* NotFound as group:
        print(f"failed: {group.exceptions[0]}")
    await asyncio.sleep(0.5)
    print("0.5 s later")


asyncio.run(main())
