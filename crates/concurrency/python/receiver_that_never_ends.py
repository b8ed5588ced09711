import asyncio


async def produce(number, numbers):
    await asyncio.sleep(0.1)
    numbers.put_nowait(number)


async def print_all(numbers):
    while True:
        number = await numbers.get()
        print(f"received {number}")
        await asyncio.sleep(0.05)
        numbers.task_done()


LINKS = {1: [2, 3], 3: [4]}


async def read_all(pages):
    while True:
        number = await pages.get()
        await asyncio.sleep(0.1)
        print(f"read page {number}")
        for link in LINKS.get(number, []):
            pages.put_nowait(link)
        pages.task_done()


async def main():
    print("The producer has ended, and nobody tells the receiver:")
    numbers = asyncio.Queue()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(produce(1, numbers))
        try:
            # A queue does not know that nobody puts anything any more.
            async with asyncio.timeout(0.5):
                await print_all(numbers)
        except TimeoutError:
            print("no end after 0.5 s")

    print("Nothing more can come:")
    await numbers.join()
    print("the end")

    print("A receiver that sends itself more work:")
    pages = asyncio.Queue()
    pages.put_nowait(1)
    async with asyncio.TaskGroup() as tasks:
        reader = tasks.create_task(read_all(pages))
        await pages.join()
        reader.cancel()
    print("all pages are read")


asyncio.run(main())
