import asyncio
from collections import deque


class Closed(Exception):
    """The queue is closed; holds the item that could not be put."""


class ConditionQueue:
    def __init__(self, capacity):
        self.capacity = capacity
        self.items = deque()
        self.closed = False
        # One lock for both: with a lock each, `notify` would raise.
        lock = asyncio.Lock()
        self.not_empty = asyncio.Condition(lock)
        self.not_full = asyncio.Condition(lock)

    def _has_room(self):
        return self.closed or len(self.items) < self.capacity

    def _has_item(self):
        return self.closed or self.items

    async def put(self, item):
        async with self.not_full:
            try:
                await self.not_full.wait_for(self._has_room)
            except asyncio.CancelledError:
                # Before CPython 3.13 the wake-up is lost if we were woken just now.
                self.not_full.notify()
                raise
            if self.closed:
                raise Closed(item)
            self.items.append(item)
            self.not_empty.notify()

    async def get(self):
        async with self.not_empty:
            try:
                await self.not_empty.wait_for(self._has_item)
            except asyncio.CancelledError:
                self.not_empty.notify()
                raise
            if not self.items:
                return None
            self.not_full.notify()
            return self.items.popleft()

    async def close(self):
        async with self.not_empty:
            self.closed = True
            self.not_empty.notify_all()
            self.not_full.notify_all()


async def produce(queue):
    for number in range(6):
        await asyncio.sleep(0.1)
        if not await produce_one(queue, f"item-{number}"):
            return
    await queue.close()


async def produce_one(queue, item):
    try:
        await queue.put(item)
    except Closed:
        print(f"{item} refused: the queue is closed")
        return False
    print(f"Produced {item}")
    return True


async def consume(name, busy, queue):
    while (item := await queue.get()) is not None:
        print(f"Consumer {name} got {item}")
        await asyncio.sleep(busy)
    print(f"Consumer {name} is done")


async def get_or_give_up(queue):
    try:
        async with asyncio.timeout(0.1):
            await queue.get()
    except TimeoutError:
        print("Consumer A timed out")


async def main():
    print("Slow consumers hold the producer up:")
    queue = ConditionQueue(2)
    consumer_a = asyncio.create_task(consume("A", 0.5, queue))
    await asyncio.sleep(0.05)
    consumer_b = asyncio.create_task(consume("B", 0.35, queue))
    await produce(queue)
    await consumer_a
    await consumer_b

    print("The first of two waiting consumers times out:")
    queue = ConditionQueue(2)
    first = asyncio.create_task(get_or_give_up(queue))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(consume("B", 0.1, queue))
    await first
    await asyncio.sleep(0.1)
    await produce_one(queue, "late item")
    await queue.close()
    await second

    print("Closed while the producer waits for room:")
    queue = ConditionQueue(2)
    producer = asyncio.create_task(produce(queue))
    await asyncio.sleep(0.5)
    print("Closing")
    await queue.close()
    await producer
    await consume("C", 0.1, queue)


asyncio.run(main())
