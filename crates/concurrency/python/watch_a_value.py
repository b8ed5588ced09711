import asyncio


class Watched:
    def __init__(self, value):
        self.value = value
        self.version = 0
        self.closed = False
        self.condition = asyncio.Condition()

    async def send(self, value):
        async with self.condition:
            self.value = value
            self.version += 1
            self.condition.notify_all()

    async def close(self):
        async with self.condition:
            self.closed = True
            self.condition.notify_all()

    async def changed(self, seen):
        """Waits for another version than the one seen; false if none will come."""
        async with self.condition:
            await self.condition.wait_for(lambda: self.closed or self.version != seen)
            return self.version != seen

    async def wait_for(self, predicate):
        """The first value seen that fulfils the predicate, or None at the end."""
        async with self.condition:
            await self.condition.wait_for(lambda: self.closed or predicate(self.value))
            return self.value if predicate(self.value) else None


async def draw(degrees):
    while True:
        await asyncio.sleep(0.25)
        seen = degrees.version
        print(f"drawing {degrees.value}")
        if not await degrees.changed(seen):
            print("no more to draw")
            return


async def warn_at(limit, degrees):
    now = await degrees.wait_for(lambda now: now >= limit)
    if now is None:
        print(f"never reached {limit}")
    else:
        print(f"warning for {limit}: it is {now}")


async def main():
    degrees = Watched(20)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(draw(degrees))
        tasks.create_task(warn_at(23, degrees))
        tasks.create_task(warn_at(30, degrees))

        for now in [21, 23, 24, 22]:
            await asyncio.sleep(0.1)
            await degrees.send(now)

        await asyncio.sleep(0.05)
        await degrees.close()


asyncio.run(main())
