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


async def main():
    await fetch_from([Cache("A page"), Server(0.3)])


asyncio.run(main())
