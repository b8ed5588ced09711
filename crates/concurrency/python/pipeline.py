import asyncio


async def fetch(texts, pages):
    for text in texts:
        await asyncio.sleep(0.1)
        print(f"fetched {text}")
        await pages.put(text)


async def parse(pages, numbers):
    while True:
        page = await pages.get()
        await asyncio.sleep(0.05)
        if not page.isdigit():
            raise ValueError(f"{page} is not a number")
        await numbers.put(int(page))
        pages.task_done()


async def store(numbers):
    while True:
        number = await numbers.get()
        await asyncio.sleep(0.4)
        print(f"stored {number}")
        numbers.task_done()


async def pipeline(texts):
    """Runs all stages. The first error stops the rest."""
    pages, numbers = asyncio.Queue(1), asyncio.Queue(1)
    async with asyncio.TaskGroup() as stages:
        parsing = stages.create_task(parse(pages, numbers))
        storing = stages.create_task(store(numbers))
        await fetch(texts, pages)
        # An item is marked done when it is in the next queue, so nothing is lost.
        await pages.join()
        await numbers.join()
        parsing.cancel()
        storing.cancel()


async def report(stages):
    try:
        await stages
        print("all stored")
    except* ValueError as group:
        for error in group.exceptions:
            print(f"failed: {error}")


async def main():
    print("The slowest stage sets the pace:")
    await report(pipeline(["1", "2", "3", "4"]))

    print("A stage in the middle fails:")
    await report(pipeline(["1", "2", "x", "4", "5"]))

    await asyncio.sleep(0.5)
    print("0.5 s later")


asyncio.run(main())
