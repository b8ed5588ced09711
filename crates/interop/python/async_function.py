import asyncio

try:
    from async_function_rs import FetchError, fetch
except ImportError:

    class FetchError(Exception):
        """Why there is no page."""

    async def fetch(name, ms):
        try:
            async with asyncio.timeout(0.3):
                await asyncio.sleep(ms / 1000)
        except TimeoutError:
            raise TimeoutError("the page takes too long") from None
        if name == "bad":
            raise FetchError(f"no page {name}", 404)
        return f"page {name}"


async def main():
    print(await fetch("a", 10))
    print(*await asyncio.gather(fetch("b", 20), fetch("c", 10)))
    try:
        await fetch("bad", 10)
    except FetchError as error:
        print("FetchError:", *error.args)
    try:
        await fetch("slow", 30_000)
    except TimeoutError as error:
        print("TimeoutError:", error)
    async with asyncio.TaskGroup() as group:
        async def fetch_one(name):  # create_task takes a coroutine, not a future
            return await fetch(name, 10)
        tasks = [group.create_task(fetch_one(name)) for name in "de"]
    print(*[task.result() for task in tasks])


if __name__ == "__main__":
    asyncio.run(main())
