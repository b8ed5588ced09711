import asyncio

TASKS = 3
END = None


async def work():
    await asyncio.sleep(0.1)


class Counter:
    def __init__(self):
        self.count = 0
        self.lock = asyncio.Lock()

    async def increment(self):
        current = self.count
        await work()
        self.count = current + 1

    async def increment_locked(self):
        async with self.lock:
            current = self.count
            await work()
            self.count = current + 1

    async def increment_at_once(self):
        await work()
        self.count += 1


async def increment_by_message(steps):
    await work()
    steps.put_nowait(1)


async def own(steps):
    count = 0
    while (step := await steps.get()) is not END:
        count += step
    return count


async def main():
    print("Read, wait, write:")
    counter = Counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(TASKS):
            tasks.create_task(counter.increment())
    print(counter.count)

    print("Locked over the wait:")
    counter = Counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(TASKS):
            tasks.create_task(counter.increment_locked())
    print(counter.count)

    print("Read and written in one go:")
    counter = Counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(TASKS):
            tasks.create_task(counter.increment_at_once())
    print(counter.count)

    print("One task owns it:")
    steps = asyncio.Queue()
    owner = asyncio.create_task(own(steps))
    async with asyncio.TaskGroup() as tasks:
        for _ in range(TASKS):
            tasks.create_task(increment_by_message(steps))
    steps.put_nowait(END)
    print(await owner)


asyncio.run(main())
