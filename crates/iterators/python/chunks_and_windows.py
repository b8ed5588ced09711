import asyncio
from collections import deque

SIZE = 3
END = object()


async def numbers(delays):
    for number, delay in enumerate(delays, start=1):
        await asyncio.sleep(delay)
        yield number


async def chunks(items, size):
    chunk = []
    async for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


async def windows(items, size):
    window = deque(maxlen=size)
    async for item in items:
        window.append(item)
        if len(window) == size:
            yield list(window)


async def read_into(queue, items):
    async for item in items:
        await queue.put(item)
    await queue.put(END)


class ChunksTimeout:
    """Closes a batch when it is full or its first item has waited for `limit`."""

    def __init__(self, queue, size, limit):
        self.queue = queue
        self.size = size
        self.limit = limit
        self.remainder = []

    async def __aiter__(self):
        item = None
        while item is not END and (item := await self.queue.get()) is not END:
            self.remainder.append(item)
            try:
                async with asyncio.timeout(self.limit):
                    while len(self.remainder) < self.size:
                        if (item := await self.queue.get()) is END:
                            break
                        self.remainder.append(item)
            except TimeoutError:
                pass
            batch, self.remainder = self.remainder, []
            yield batch


async def main():
    steady = [0.1] * 4
    print("By count:")
    async for batch in chunks(numbers(steady), SIZE):
        print(f"batch {batch}")

    print("A sliding window:")
    async for window in windows(numbers(steady), SIZE):
        print(f"window {window}")

    print("By count or time:")
    queue = asyncio.Queue()
    bursts = [0.1, 0.1, 0.1, 0.05, 0.05, 0.5]
    reader = asyncio.create_task(read_into(queue, numbers(bursts)))
    async for batch in ChunksTimeout(queue, SIZE, 0.25):
        print(f"batch {batch}")
    await reader

    print("Stopped in the middle of a batch, and dropped:")
    queue = asyncio.Queue()
    reader = asyncio.create_task(read_into(queue, numbers(steady)))
    try:
        async with asyncio.timeout(0.25):
            async for batch in ChunksTimeout(queue, SIZE, 0.25):
                print(f"batch {batch}")
    except TimeoutError:
        pass
    print(f"next from the source: {await queue.get()}")
    reader.cancel()

    print("Stopped there, and asked for what it had read:")
    queue = asyncio.Queue()
    reader = asyncio.create_task(read_into(queue, numbers(steady)))
    batches = ChunksTimeout(queue, SIZE, 0.25)
    try:
        async with asyncio.timeout(0.25):
            async for batch in batches:
                print(f"batch {batch}")
    except TimeoutError:
        pass
    print(f"read: {batches.remainder}")
    reader.cancel()

    print("While a batch is written, 0.3 s each:")
    queue = asyncio.Queue()
    reader = asyncio.create_task(read_into(queue, numbers(steady)))
    async for batch in ChunksTimeout(queue, SIZE, 0.25):
        print(f"batch {batch}")
        await asyncio.sleep(0.3)
    await reader


asyncio.run(main())
