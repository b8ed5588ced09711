import asyncio
from typing import Protocol


class Fetch(Protocol):
    async def fetch(self, page: str) -> str: ...


class Cache:
    def __init__(self, name):
        self.name = name

    async def fetch(self, page):
        return f"{page} from {self.name}"


class Server:
    def __init__(self, delay):
        self.delay = delay

    async def fetch(self, page):
        await asyncio.sleep(self.delay)
        return f"{page} from the server"


async def fetch_from(fetchers: list[Fetch], page: str):
    for fetcher in fetchers:
        print(await fetcher.fetch(page))


async def main():
    await fetch_from([Cache("the cache"), Server(0.3)], "A page")


asyncio.run(main())
