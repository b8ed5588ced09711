import asyncio

END = None


async def produce(first, numbers):
    for number in [first, first + 1]:
        await asyncio.sleep(0.1)
        numbers.put_nowait(number)


async def total(numbers):
    total = 0
    while (number := await numbers.get()) is not END:
        total += number
    return total


class Log:
    def __init__(self):
        self.lines = asyncio.Queue()
        self.writer = asyncio.create_task(self.write())

    async def write(self):
        written = 0
        while (line := await self.lines.get()) is not END:
            await asyncio.sleep(0.1)
            written += len(line)
        return written

    def add(self, line):
        self.lines.put_nowait(line)

    async def close(self):
        self.lines.put_nowait(END)
        return await self.writer


LINKS = {1: [2, 3], 3: [4]}


async def read(number, pages):
    await asyncio.sleep(0.1)
    print(f"read page {number}")
    for link in LINKS.get(number, []):
        pages.put_nowait(link)


async def read_all(pages):
    while True:
        number = await pages.get()
        await read(number, pages)
        pages.task_done()


async def main():
    limit = 0.5

    print("The producers have ended:")
    numbers = asyncio.Queue()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(produce(1, numbers))
        tasks.create_task(produce(10, numbers))
        try:
            async with asyncio.timeout(limit):
                print(f"total {await total(numbers)}")
        except TimeoutError:
            print("no end after 0.5 s")

    print("And nothing more can come:")
    numbers = asyncio.Queue()
    summing = asyncio.create_task(total(numbers))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(produce(1, numbers))
        tasks.create_task(produce(10, numbers))
    numbers.put_nowait(END)
    print(f"total {await summing}")

    print("A log:")
    log = Log()
    log.add("one")
    log.add("two")
    _, pending = await asyncio.wait([log.writer], timeout=limit)
    if pending:
        print("no end after 0.5 s")
    print("Closed:")
    print(f"{await log.close()} bytes written")

    print("A reader that finds more to read:")
    pages = asyncio.Queue()
    pages.put_nowait(1)
    reader = asyncio.create_task(read_all(pages))
    _, pending = await asyncio.wait([reader], timeout=limit)
    if pending:
        print("no end after 0.5 s")
    print("Ended with the last page:")
    await pages.join()
    reader.cancel()
    print("all read")


asyncio.run(main())
