import asyncio
from typing import Protocol


class Fetch(Protocol):
    async def fetch(self) -> str: ...


class Pages:
    def __init__(self):
        self.fetched = 0

    async def fetch_twice(self):
        first = await self.fetch()
        second = await self.fetch()
        return f"{first}, {second}"

    async def fetch(self):
        await asyncio.sleep(0.1)
        self.fetched += 1
        return f"Page {self.fetched}"


def start(fetcher: Fetch):
    return asyncio.create_task(fetcher.fetch())


async def print_all(words, change):
    for word in words:
        print(await change(word))


async def main():
    print("Method:")
    pages = Pages()
    print(await pages.fetch_twice())

    print("Through an interface, in a task:")
    print(await start(pages))

    print("Closure:")
    delay = 0.2

    async def shout(word):
        await asyncio.sleep(delay)
        return word.upper()

    await print_all(["hello", "world"], shout)

    print("Block:")

    async def block():
        await asyncio.sleep(delay)
        return "The block's last value"

    print(await block())


asyncio.run(main())
