import asyncio

TASKS = 3


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


asyncio.run(main())
