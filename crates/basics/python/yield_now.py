import asyncio


async def count(name):
    for number in range(1, 4):
        print(f"{name}: {number}")


async def count_politely(name):
    for number in range(1, 4):
        print(f"{name}: {number}")
        await asyncio.sleep(0)


async def five_hundred_yields():
    for _ in range(500):
        await asyncio.sleep(0)


async def five_hundred_delays(delay):
    for _ in range(500):
        await asyncio.sleep(delay)


async def main():
    print("Without a yield:")
    await asyncio.gather(*map(count, ["A", "B"]))

    print("A yield after each number:")
    await asyncio.gather(*map(count_politely, ["A", "B"]))

    limit = 0.25
    print("Five hundred yields:")
    try:
        async with asyncio.timeout(limit):
            await five_hundred_yields()
        print("Done")
    except TimeoutError:
        print("Not done after 250 ms")

    print("Five hundred sleeps of zero:")
    try:
        async with asyncio.timeout(limit):
            await five_hundred_delays(0)
        print("Done")
    except TimeoutError:
        print("Not done after 250 ms")


asyncio.run(main())
