import asyncio
import sys
from itertools import count

if sys.version_info >= (3, 13):
    from asyncio import Queue, QueueShutDown
else:

    class QueueShutDown(Exception):
        pass

    class Queue(asyncio.Queue):
        """Adds the `shutdown` of Python 3.13, as far as it is used here."""

        is_shut_down = False

        def shutdown(self):
            self.is_shut_down = True
            for waiters in self._getters, self._putters:
                while waiters:
                    self._wakeup_next(waiters)

        # So that a waiting `get` or `put` goes on to `get_nowait` or `put_nowait`.
        def empty(self):
            return not self.is_shut_down and super().empty()

        def full(self):
            return not self.is_shut_down and super().full()

        def get_nowait(self):
            if self.is_shut_down and not self.qsize():
                raise QueueShutDown
            return super().get_nowait()

        def put_nowait(self, item):
            if self.is_shut_down:
                raise QueueShutDown
            super().put_nowait(item)


CAPACITY = 2


async def producer(queue):
    """Adds items until the queue is shut down."""
    for number in count():
        item = f"item-{number}"
        try:
            await queue.put(item)
        except QueueShutDown:
            print(f"{item} came too late")
            return
        print(f"{item} added")
        await asyncio.sleep(0.1)


async def process(item):
    print(f"processing {item}")
    await asyncio.sleep(0.35)


async def consumer(queue):
    """Shuts the queue down after two items, and processes those that are left."""
    for _ in range(2):
        await process(await queue.get())
    print("closing the queue")
    queue.shutdown()
    try:
        while True:
            await process(await queue.get())
    except QueueShutDown:
        print("drained")


async def main():
    print("Closed, and drained:")
    queue = Queue(CAPACITY)
    async with asyncio.TaskGroup() as group:
        group.create_task(producer(queue))
        await consumer(queue)

    print("Closed, and the rest taken out:")
    queue = Queue(CAPACITY)
    async with asyncio.TaskGroup() as group:
        group.create_task(producer(queue))
        await process(await queue.get())
        # `shutdown(immediate=True)` would drop what is left.
        queue.shutdown()
        while queue.qsize():
            print(f"{queue.get_nowait()} is left")


asyncio.run(main())
