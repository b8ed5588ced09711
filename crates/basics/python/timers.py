import asyncio


async def sleep_until(when):
    await asyncio.sleep(when - asyncio.get_running_loop().time())


async def work(millis):
    await asyncio.sleep(millis / 1000)
    print(f"Worked for {millis} ms")


async def main():
    loop = asyncio.get_running_loop()

    print("Sleep after the work:")
    await work(150)
    await asyncio.sleep(0.5)
    print("Half a second after the work")

    print("Sleep until a deadline:")
    deadline = loop.time() + 0.5
    await work(150)
    await sleep_until(deadline)
    print("Half a second after the start")

    print("Sleep until a deadline that has passed:")
    await sleep_until(deadline)
    print("At once")

    print("Two pieces of work, one deadline:")
    deadline = loop.time() + 0.5
    for millis in [300, 400]:
        try:
            async with asyncio.timeout_at(deadline):
                await work(millis)
        except TimeoutError:
            print(f"{millis} ms were too long")

    print("An interval of 200 ms, one turn of which takes 450:")
    due = loop.time()
    for millis in [50, 450, 50, 50, 50]:
        await sleep_until(due)
        due += 0.2
        print("Tick")
        await work(millis)

    print("Ten sleeps of 100 microseconds:")
    for _ in range(10):
        await asyncio.sleep(0.0001)
    print("Done")


asyncio.run(main())
