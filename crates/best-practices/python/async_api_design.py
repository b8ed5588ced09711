import asyncio
from typing import Protocol


class Store(Protocol):
    async def get(self, id):
        """Returns the name, or None."""


class Memory:
    async def get(self, id):
        return "Ada" if id == 1 else None


class Remote:
    async def get(self, id):
        await asyncio.sleep(0.1)
        return f"User {id}" if id < 3 else None


class Batches:
    """Collects events in batches. A cancelled `next` loses no event."""

    def __init__(self, events, size):
        self._events = events
        self._size = size
        self._batch = []

    async def next(self):
        while len(self._batch) < self._size:
            self._batch.append(await self._events.get())
        batch, self._batch = self._batch, []
        return batch


async def main():
    print("A lookup in the background:")
    task = asyncio.create_task(Remote().get(2))
    print(await task or "not found")

    print("Stores of different types:")
    stores: list[Store] = [Memory(), Remote()]
    for store in stores:
        print(await store.get(2) or "not found")

    print("A wait for a batch times out, and the next one loses nothing:")
    events = asyncio.Queue(8)
    batches = Batches(events, 3)
    for event in [1, 2]:
        await events.put(event)
    try:
        async with asyncio.timeout(0.1):
            await batches.next()
    except TimeoutError:
        print("timed out")
    await events.put(3)
    print(await batches.next())


asyncio.run(main())
