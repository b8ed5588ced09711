import asyncio
from collections import deque


async def windows(items, size):
    window = deque(maxlen=size)
    async for item in items:
        window.append(item)
        if len(window) == size:
            yield list(window)


async def prices(prices):
    for price in prices:
        await asyncio.sleep(0.1)
        yield price


async def main():
    print("Three at a time:")
    async for window in windows(prices([40, 46, 43, 55]), 3):
        print(f"window {window}")

    print("A moving average:")
    slices = windows(prices([40, 46, 43, 55]), 3)
    async for average in (sum(window) // 3 async for window in slices):
        print(average)


asyncio.run(main())
