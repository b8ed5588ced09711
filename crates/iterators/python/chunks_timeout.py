import asyncio

SIZE = 3
LIMIT = 0.25


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


class Batcher:
    """Closes a batch when it is full or its first item has waited for `limit`."""

    def __init__(self, items, size, limit):
        self.items = items
        self.size = size
        self.limit = limit
        self.pending = []

    async def batches(self):
        loop = asyncio.get_running_loop()
        getting, wait = None, None
        try:
            while True:
                if getting is None:
                    getting = asyncio.ensure_future(anext(self.items))
                if self.pending:
                    wait = max(0, due - loop.time())
                await asyncio.wait([getting], timeout=wait)
                late = not getting.done()
                if not late:
                    finished, getting = getting, None
                    if not self.pending:
                        due = loop.time() + self.limit
                    try:
                        self.pending.append(finished.result())
                    except StopAsyncIteration:
                        break
                if late or len(self.pending) == self.size:
                    batch, self.pending, wait = self.pending, [], None
                    yield batch
        finally:
            if getting is not None:
                getting.cancel()
        if self.pending:
            yield self.pending


async def main():
    steady = [0.1] * 4
    print("By count:")
    async for batch in chunks(numbers(steady), SIZE):
        print(f"batch {batch}")

    print("By count or time:")
    bursts = [0.1, 0.1, 0.1, 0.05, 0.05, 0.5]
    async for batch in Batcher(numbers(bursts), SIZE, LIMIT).batches():
        print(f"batch {batch}")

    print("Stopped in the middle of a batch:")
    batcher = Batcher(numbers(steady), SIZE, LIMIT)
    batches = batcher.batches()
    try:
        while batch := await asyncio.wait_for(anext(batches, None), LIMIT):
            print(f"batch {batch}")
    except TimeoutError:
        pass
    print(f"left: {batcher.pending}")


asyncio.run(main())
