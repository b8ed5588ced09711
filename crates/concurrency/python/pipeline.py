import asyncio

WAITING = 1
END = None


async def fetch(texts, pages):
    for text in texts:
        await asyncio.sleep(0.1)
        print(f"fetched {text}")
        await pages.put(text)
    await pages.put(END)


async def parse(pages, numbers):
    while (page := await pages.get()) is not END:
        await asyncio.sleep(0.05)
        if not page.isdigit():
            raise ValueError(f"{page} is not a number")
        await numbers.put(int(page))
    await numbers.put(END)


async def store(numbers, limit):
    while (number := await numbers.get()) is not END:
        if number > limit:
            raise ValueError(f"{number} is over {limit}")
        await asyncio.sleep(0.4)
        print(f"stored {number}")


async def pipeline(texts, limit):
    """Runs all stages. The first error stops the rest."""
    pages = asyncio.Queue(WAITING)
    numbers = asyncio.Queue(WAITING)
    async with asyncio.TaskGroup() as stages:
        stages.create_task(fetch(texts, pages))
        stages.create_task(parse(pages, numbers))
        stages.create_task(store(numbers, limit))


async def report(stages):
    try:
        await stages
        print("all stored")
    except* ValueError as group:
        for error in group.exceptions:
            print(f"failed: {error}")


async def main():
    print("The slowest stage sets the pace:")
    await report(pipeline(["1", "2", "3", "4", "5", "6"], 10))

    print("A stage in the middle fails:")
    await report(pipeline(["1", "2", "x", "4", "5"], 10))

    print("The last stage fails:")
    await report(pipeline(["1", "20", "3", "4", "5", "6"], 10))

    await asyncio.sleep(0.5)
    print("0.5 s later")


asyncio.run(main())
