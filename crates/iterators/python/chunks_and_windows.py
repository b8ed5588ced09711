import asyncio
import time
from collections import deque

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


async def pull(items):
    return await anext(items, END)


async def chunks_timeout(items, size, limit):
    """Closes a chunk when it is full or its first item is `limit` seconds old."""
    chunk = []
    deadline = None
    step = asyncio.create_task(pull(items))
    while True:
        rest = None if deadline is None else max(0, deadline - time.monotonic())
        done, _ = await asyncio.wait({step}, timeout=rest)
        if done and (item := step.result()) is not END:
            step = asyncio.create_task(pull(items))
            chunk.append(item)
            if len(chunk) == 1:
                deadline = time.monotonic() + limit
            if len(chunk) < size:
                continue
        if chunk:
            yield chunk
        if done and item is END:
            return
        chunk = []
        deadline = None


async def main():
    steady = [0.1] * 7
    async for chunk in chunks(numbers(steady), 3):
        print(f"chunk {chunk}")

    async for window in windows(numbers(steady), 3):
        print(f"window {window}")

    bursts = [0.1, 0.1, 0.1, 0.3, 0.1, 0.6]
    async for batch in chunks_timeout(numbers(bursts), 3, 0.25):
        print(f"batch {batch}")


asyncio.run(main())
