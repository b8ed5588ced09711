import asyncio


async def map_with_limit(items, limit, f):
    """Calls `f` for each item, at most `limit` at once. The first error stops all."""
    permits = asyncio.Semaphore(limit)

    async def call(item):
        async with permits:
            return await f(*item)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(call(item)) for item in items]
    return [task.result() for task in tasks]


class NotFound(Exception):
    pass


async def main():
    host = "api.com"

    async def fetch(name, delay):
        await asyncio.sleep(delay)
        if name == "missing":
            raise NotFound(f"{host}/{name} not found")
        print(f"fetched {name}")
        return f"{host}/{name}"

    print("Two at once:")
    pages = [("a", 0.4), ("b", 0.1), ("c", 0.2), ("d", 0.2)]
    print(", ".join(await map_with_limit(pages, 2, fetch)))

    print("With one that fails:")
    pages = [("a", 0.1), ("b", 0.4), ("missing", 0.1), ("d", 0.1)]
    try:
        await map_with_limit(pages, 2, fetch)
    except* NotFound as group:
        print(f"failed: {group.exceptions[0]}")
    await asyncio.sleep(0.5)
    print("0.5 s later")


asyncio.run(main())
