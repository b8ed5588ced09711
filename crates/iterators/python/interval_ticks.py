import asyncio
import time

PERIOD = 0.2


async def sleep_until(deadline):
    await asyncio.sleep(max(0, deadline - time.monotonic()))


async def burst(period):
    due = time.monotonic()
    while True:
        await sleep_until(due)
        yield
        due += period


async def delay(period):
    due = time.monotonic()
    while True:
        await sleep_until(due)
        due = time.monotonic() + period
        yield


async def skip(period):
    start = time.monotonic()
    place = 0
    while True:
        await sleep_until(start + place * period)
        place = int((time.monotonic() - start) / period) + 1
        yield


async def tick(interval):
    number = 0
    async for _ in interval(PERIOD):
        number += 1
        print(f"{interval.__name__}: tick {number}")
        if number == 2:
            await asyncio.sleep(0.5)
        if number == 5:
            break


async def work():
    await asyncio.sleep(PERIOD / 2)


async def main():
    for turn in range(1, 4):
        print(f"sleep loop: turn {turn}")
        await work()
        await asyncio.sleep(PERIOD)

    steady = burst(PERIOD)
    for turn in range(1, 4):
        await anext(steady)
        print(f"interval: turn {turn}")
        await work()

    await tick(burst)
    await tick(delay)
    await tick(skip)


asyncio.run(main())
