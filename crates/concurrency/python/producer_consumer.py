import asyncio
import sys

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
            while self._getters:
                self._wakeup_next(self._getters)

        def empty(self):
            # So that a waiting `get` goes on to `get_nowait`.
            return not self.is_shut_down and super().empty()

        def get_nowait(self):
            if self.is_shut_down and not self.qsize():
                raise QueueShutDown
            return super().get_nowait()


CAPACITY = 2


async def producer(end, queue):
    """Puts the numbers below `end`, one every 100 ms. There is no number 5."""
    try:
        for i in range(end):
            await asyncio.sleep(0.1)
            if i == 5:
                raise ValueError(f"there is no {i}")
            print(f"Producing {i}")
            await queue.put(i)
    finally:
        queue.shutdown()


async def consumer(busy, queue):
    """Consumes all items, each in `busy` seconds, and returns their number."""
    consumed = 0
    try:
        while True:
            item = await queue.get()
            print(f"Consuming {item}")
            await asyncio.sleep(busy)
            consumed += 1
    except QueueShutDown:
        return consumed


async def main():
    print("A slow consumer:")
    queue = Queue(CAPACITY)
    async with asyncio.TaskGroup() as group:
        group.create_task(producer(5, queue))
        consumed = await consumer(0.45, queue)
    print(f"{consumed} consumed")

    print("A producer that fails:")
    queue = Queue(CAPACITY)
    # A `TaskGroup` would cancel the consumer, and lose what is in the queue.
    error, consumed = await asyncio.gather(
        producer(7, queue), consumer(0.05, queue), return_exceptions=True
    )
    print(f"{consumed} consumed")
    if error is not None:
        print(f"Error: {error}")


asyncio.run(main())
