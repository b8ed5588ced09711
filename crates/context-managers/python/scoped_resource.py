import asyncio
from contextlib import asynccontextmanager


class Connection:
    def __init__(self, name):
        self.name = name
        self.reads = 0

    async def read(self, page):
        print(f"Reading {page}")
        await asyncio.sleep(0.2)
        self.reads += 1
        assert page != "nowhere", "no such page"
        if page.startswith("lost "):
            raise ConnectionError(f"{page.removeprefix('lost ')} is lost")
        return len(page)


@asynccontextmanager
async def connection_to(name):
    print(f"Connecting to {name}")
    await asyncio.sleep(0.1)
    connection = Connection(name)
    try:
        yield connection
    finally:
        await asyncio.sleep(0.1)
        print(f"Disconnected, pages read: {connection.reads}")
        # An error here would take the place of a cancellation.
        is_cancelled = asyncio.current_task().cancelling()
        if name.startswith("broken ") and not is_cancelled:
            name = name.removeprefix("broken ")
            raise BrokenPipeError(f"{name} did not answer")


async def letters(database, pages):
    async with connection_to(database) as connection:
        if not pages:
            return 0
        return sum([await connection.read(page) for page in pages])


async def print_length(database, pages):
    try:
        print(f"{await letters(database, pages)} letters")
    except BrokenPipeError as error:
        # The error of the body is the context of the one in `finally`.
        first = f"{error.__context__}; " if error.__context__ else ""
        print(f"Error: {first}while closing: {error}")
    except ConnectionError as error:
        print(f"Error: {error}")


async def main():
    print("Success:")
    await print_length("PostgreSQL", ["home", "news"])

    print("An early return:")
    await print_length("PostgreSQL", [])

    print("The body fails:")
    await print_length("PostgreSQL", ["lost home", "news"])

    print("Closing fails, then both:")
    await print_length("broken PostgreSQL", ["home"])
    await print_length("broken PostgreSQL", ["lost home"])

    print("The body has a bug:")
    try:
        await print_length("PostgreSQL", ["home", "nowhere"])
    except AssertionError:
        print("Ended by a bug")

    limit = 0.4
    print("A timeout of 0.4 s:")
    try:
        async with asyncio.timeout(limit):
            await print_length("PostgreSQL", ["home", "news"])
    except TimeoutError:
        print("Timed out")

    print("A timeout, and the scope is a task:")
    task = asyncio.create_task(print_length("PostgreSQL", ["home", "news"]))
    try:
        async with asyncio.timeout(limit):
            await asyncio.shield(task)
    except TimeoutError:
        print("Timed out")
    await task


asyncio.run(main())
