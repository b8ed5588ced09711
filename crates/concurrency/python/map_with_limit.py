import asyncio


async def map_with_limit(items, limit, f):
    """Calls `f` for each item, at most `limit` at once."""
    if limit < 1:
        raise ValueError("with a limit of 0 no call would ever run")
    return await map_in_tasks(items, asyncio.Semaphore(limit), f)


async def map_in_tasks(items, permits, f):
    """Calls `f` for each item, each with a permit. The first error stops the rest."""
    tasks = []
    async with asyncio.TaskGroup() as group:
        for item in items:
            # Before the task is made, so that there are no more of them than permits.
            await permits.acquire()
            task = group.create_task(f(item))
            task.add_done_callback(lambda _: permits.release())
            tasks.append(task)
    return [task.result() for task in tasks]


class NotFound(Exception):
    pass


async def fetch(host, page):
    name, delay = page
    await asyncio.sleep(delay)
    if name == "missing":
        raise NotFound(f"{host}/{name} not found")
    print(f"fetched {name}")
    return f"{host}/{name}"


async def report(mapping):
    try:
        print(", ".join(await mapping))
    except* NotFound as group:
        for error in group.exceptions:
            print(f"failed: {error}")


async def main():
    host = "api.com"
    pages = [("a", 0.4), ("b", 0.1), ("c", 0.2), ("d", 0.2)]
    faulty = [("a", 0.1), ("b", 0.4), ("missing", 0.1), ("d", 0.1)]

    async def fetch_page(page):
        return await fetch(host, page)

    # Whatever runs at the same time is a task in asyncio.
    print("Two at once, in one task:")
    await report(map_with_limit(pages, 2, fetch_page))

    print("With one that fails:")
    await report(map_with_limit(faulty, 2, fetch_page))
    await asyncio.sleep(0.5)

    print("Three at once, in tasks, for two lists:")
    permits = asyncio.Semaphore(3)
    more = [("e", 0.25), ("f", 0.2)]
    first, second = await asyncio.gather(
        map_in_tasks(pages, permits, fetch_page),
        map_in_tasks(more, permits, fetch_page),
    )
    print(", ".join(first))
    print(", ".join(second))

    print("With one that fails:")
    permits = asyncio.Semaphore(2)
    await report(map_in_tasks(faulty, permits, fetch_page))
    await asyncio.sleep(0.5)
    print("0.5 s later")


asyncio.run(main())
