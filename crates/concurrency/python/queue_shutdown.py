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

        def shutdown(self, immediate=False):
            self.is_shut_down = True
            while immediate and self.qsize():
                self._get()
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
    """Adds items until it is cancelled, or the queue is shut down."""
    for number in count():
        item = f"item-{number}"
        try:
            await queue.put(item)
        except QueueShutDown:
            print(f"{item} came too late")
            return
        except asyncio.CancelledError:
            print(f"{item} came too late")
            raise
        print(f"{item} added")
        await asyncio.sleep(0.1)


async def process(item):
    print(f"processing {item}")
    await asyncio.sleep(0.35)


async def consumer(queue):
    """Processes items until the queue is shut down and empty."""
    try:
        while True:
            await process(await queue.get())
    except QueueShutDown:
        print("drained")


async def consumer_of(enough, queue):
    """Shuts the queue down after `enough` items, and processes those that are left."""
    for _ in range(enough):
        await process(await queue.get())
    print("closing the queue")
    queue.shutdown()
    await consumer(queue)


async def main():
    print("The producer is stopped:")
    queue = Queue(CAPACITY)
    async with asyncio.TaskGroup() as group:
        producer_task = group.create_task(producer(queue))
        group.create_task(consumer(queue))
        await asyncio.sleep(0.6)
        print("stopping the producer")
        producer_task.cancel()
        queue.shutdown()

    print("The consumer closes the queue:")
    queue = Queue(CAPACITY)
    async with asyncio.TaskGroup() as group:
        group.create_task(producer(queue))
        await consumer_of(2, queue)

    print("At once:")
    queue = Queue(CAPACITY)
    async with asyncio.TaskGroup() as group:
        group.create_task(producer(queue))
        try:
            async with asyncio.timeout(0.5):
                await consumer(queue)
        except TimeoutError:
            # `shutdown(immediate=True)` would drop what is left.
            queue.shutdown()
    while queue.qsize():
        print(f"{queue.get_nowait()} is left")


asyncio.run(main())
