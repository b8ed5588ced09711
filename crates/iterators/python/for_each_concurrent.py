import asyncio

AT_ONCE = 2


class Refused(Exception):
    pass


class Mailer:
    def __init__(self, sender):
        self.sender = sender

    async def send(self, name):
        print(f"{self.sender} to {name}")
        await asyncio.sleep({"Ada": 0.5, "Bob": 0.1}.get(name, 0.3))
        if name == "Bob":
            raise Refused(f"{name} refuses the message")
        print(f"{name} has it")


async def send_to_each(mailer, names):
    permits = asyncio.Semaphore(AT_ONCE)

    async def send(name):
        async with permits:
            try:
                await mailer.send(name)
            except Refused as error:
                print(error)

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(send(name))


async def send_to_all(mailer, names):
    permits = asyncio.Semaphore(AT_ONCE)

    async def send(name):
        async with permits:
            await mailer.send(name)

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(send(name))


async def main():
    mailer = Mailer("news")

    print("Each failure by itself:")
    await send_to_each(mailer, ["Ada", "Bob", "Cy", "Dan"])

    print("The first failure ends it:")
    try:
        await send_to_all(mailer, ["Ada", "Cy", "Bob"])
        print("all have it")
    except* Refused as group:
        for error in group.exceptions:
            print(error)
    await asyncio.sleep(0.3)
    print("0.3 s later")


asyncio.run(main())
