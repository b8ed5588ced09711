import asyncio
from contextlib import asynccontextmanager


class RwLock:
    """Many readers or one writer. A waiting writer goes before later readers."""

    def __init__(self):
        self.changed = asyncio.Condition()
        self.readers = 0
        self.writing = False
        self.writers_waiting = 0
        self.notifying = set()

    def _notify_all(self):
        """Notifies in a task: a holder that is cancelled must not wait for the lock."""

        async def notify():
            async with self.changed:
                self.changed.notify_all()

        task = asyncio.create_task(notify())
        self.notifying.add(task)
        task.add_done_callback(self.notifying.discard)

    @asynccontextmanager
    async def read(self):
        async with self.changed:
            await self.changed.wait_for(
                lambda: not self.writing and not self.writers_waiting
            )
            self.readers += 1
        try:
            yield
        finally:
            self.readers -= 1
            self._notify_all()

    @asynccontextmanager
    async def write(self):
        async with self.changed:
            self.writers_waiting += 1
            try:
                await self.changed.wait_for(
                    lambda: not self.writing and not self.readers
                )
                self.writing = True
            finally:
                self.writers_waiting -= 1
                self.changed.notify_all()
        try:
            yield
        finally:
            self.writing = False
            self._notify_all()


class Cache:
    def __init__(self):
        self.values = {}
        self.lock = RwLock()


async def load(caller):
    await asyncio.sleep(0.1)
    print(f"{caller} has loaded")
    return f"the value of {caller}"


async def get_or_wait_for_ever(cache, key, caller):
    async with cache.lock.read():
        if key in cache.values:
            return cache.values[key]
        value = await load(caller)
        async with cache.lock.write():
            return cache.values.setdefault(key, value)


async def get(cache, key, caller):
    async with cache.lock.read():
        if key in cache.values:
            return cache.values[key]
    value = await load(caller)
    async with cache.lock.write():
        return cache.values.setdefault(key, value)


class Shared:
    def __init__(self, value):
        self.value = value
        self.lock = RwLock()


async def reader(name, start, shared):
    await asyncio.sleep(start)
    async with shared.lock.read():
        print(f"{name} reads {shared.value}")
        await asyncio.sleep(0.3)


async def writer(start, shared):
    await asyncio.sleep(start)
    print("the writer waits")
    async with shared.lock.write():
        shared.value += 1
        print("the writer has written")


async def main():
    print("Two readers, a writer, and a late reader:")
    shared = Shared(7)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(reader("A", 0, shared))
        tasks.create_task(reader("B", 0.1, shared))
        tasks.create_task(writer(0.15, shared))
        tasks.create_task(reader("C", 0.2, shared))

    print("Asking for the write lock while reading:")
    cache = Cache()
    try:
        async with asyncio.timeout(0.5):
            await get_or_wait_for_ever(cache, "key", "A")
    except TimeoutError:
        print("still waiting after 0.5 s")

    print("Asking for the write lock after reading:")

    async def later():
        await asyncio.sleep(0.05)
        return await get(cache, "key", "B")

    a, b = await asyncio.gather(get(cache, "key", "A"), later())
    print(f"A got {a}, B got {b}")


asyncio.run(main())
