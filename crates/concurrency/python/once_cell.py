import asyncio


class Settings:
    def __init__(self):
        self.lock = asyncio.Lock()
        self.value = None

    async def region(self, caller):
        async with self.lock:
            if self.value is None:
                self.value = await load(caller)
            return self.value


async def load(caller):
    print(f"{caller} loads")
    await asyncio.sleep(0.2)
    if caller != "B":
        raise ConnectionError("no connection")
    return "eu-north"


async def ask(name, start, settings):
    await asyncio.sleep(start)
    try:
        print(f"{name} got {await settings.region(name)}")
    except ConnectionError as error:
        print(f"{name} got an error: {error}")


async def main():
    print("The first one fails:")
    settings = Settings()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ask("A", 0, settings))
        tasks.create_task(ask("B", 0.05, settings))
        tasks.create_task(ask("C", 0.1, settings))
    print(f"read without waiting: {settings.value}")

    print("The first one is cancelled:")
    settings = Settings()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ask("B", 0.05, settings))
        try:
            async with asyncio.timeout(0.15):
                await settings.region("A")
        except TimeoutError:
            print("A gives up after 0.15 s")


asyncio.run(main())
