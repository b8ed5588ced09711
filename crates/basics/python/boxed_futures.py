import asyncio
from typing import Protocol


class Fetch(Protocol):
    async def fetch(self) -> str: ...


class Cache:
    def __init__(self, page):
        self.page = page

    async def fetch(self):
        return f"{self.page} from the cache"


class Server:
    def __init__(self, delay):
        self.delay = delay

    async def fetch(self):
        await asyncio.sleep(self.delay)
        return "A page from the server"


async def fetch_from(fetchers: list[Fetch]):
    for fetcher in fetchers:
        print(await fetcher.fetch())


async def add(x, y):
    await asyncio.sleep(0.1)
    return x + y


async def divide(x, y):
    await asyncio.sleep(0.2)
    if y == 0:
        raise ZeroDivisionError(f"{x} cannot be divided by {y}")
    return x // y


async def main():
    print("A list of different types:")
    await fetch_from([Cache("A page"), Server(0.3)])

    print("A list of different futures:")
    for result in await asyncio.gather(add(1, 2), divide(6, 3)):
        print(result)

    print("A table of async functions:")
    limit = 7

    async def limited(x, y):
        return min(x + y, limit)

    handlers = {"add": add, "divide": divide, "limited": limited}
    calls = [("divide", 7, 0), ("add", 7, 1), ("limited", 7, 1), ("multiply", 7, 1)]
    for name, x, y in calls:
        try:
            print(await handlers[name](x, y))
        except KeyError:
            print(f"No handler {name}")
        except ZeroDivisionError as error:
            print(f"Error: {error}")


asyncio.run(main())
