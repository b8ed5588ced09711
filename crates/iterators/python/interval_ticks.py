import asyncio

PERIOD = 0.2


async def work():
    await asyncio.sleep(PERIOD / 4)


async def long_work():
    await asyncio.sleep(PERIOD * 5 / 2)


async def tick(turn):
    print(f"tick {turn}")
    if turn == 2:
        await long_work()
    else:
        await work()


async def main():
    loop = asyncio.get_running_loop()

    print("A loop that sleeps for a period:")
    for turn in range(1, 4):
        print(f"turn {turn}")
        await work()
        await asyncio.sleep(PERIOD)

    print("Burst, the default:")
    due = loop.time()
    for turn in range(1, 7):
        await asyncio.sleep(due - loop.time())
        due += PERIOD
        await tick(turn)

    print("Delay:")
    due = loop.time()
    for turn in range(1, 7):
        await asyncio.sleep(due - loop.time())
        due = loop.time() + PERIOD
        await tick(turn)

    print("Skip:")
    due = loop.time()
    for turn in range(1, 7):
        await asyncio.sleep(due - loop.time())
        missed = (loop.time() - due) // PERIOD
        due += (1 + max(0, missed)) * PERIOD
        await tick(turn)


asyncio.run(main())
