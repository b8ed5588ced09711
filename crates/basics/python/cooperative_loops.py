import asyncio
import time


def compute(portion, millis):
    time.sleep(millis / 1000)
    return portion * portion


async def greedy(portions, millis):
    total = 0
    for portion in range(1, portions + 1):
        total += compute(portion, millis)
    return total


async def cooperative(portions, millis):
    total = 0
    for portion in range(1, portions + 1):
        total += compute(portion, millis)
        await asyncio.sleep(0)
    return total


async def neighbour():
    for turn in range(1, 4):
        print(f"The neighbour's turn {turn}")
        await asyncio.sleep(0)


async def main():
    print("A greedy loop and its neighbour:")
    total, _ = await asyncio.gather(greedy(6, 50), neighbour())
    print(f"Total: {total}")

    print("A cooperative loop and its neighbour:")
    total, _ = await asyncio.gather(cooperative(6, 50), neighbour())
    print(f"Total: {total}")

    limit = 0.1
    print("A greedy loop with a limit of 100 ms:")
    try:
        async with asyncio.timeout(limit):
            total = await greedy(6, 50)
        print(f"Total: {total}")
    except TimeoutError:
        print("Timed out")

    print("A cooperative loop with a limit of 100 ms, in short portions:")
    try:
        async with asyncio.timeout(limit):
            total = await cooperative(30, 10)
        print(f"Total: {total}")
    except TimeoutError:
        print("Timed out")


asyncio.run(main())
