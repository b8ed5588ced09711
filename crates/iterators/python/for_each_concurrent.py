import asyncio

AT_ONCE = 2


class Refused(Exception):
    pass


async def send(text, name):
    print(f"{text} to {name}")
    await asyncio.sleep({"Ada": 0.5, "Bob": 0.1}.get(name, 0.3))
    if name == "Bob":
        raise Refused(f"{name} refuses the message")
    print(f"{name} has it")


async def send_or_report(text, name):
    try:
        await send(text, name)
    except Refused as error:
        print(error)


async def for_each(function, text, names):
    """Calls the function for each name, at most AT_ONCE at the same time."""
    permits = asyncio.Semaphore(AT_ONCE)

    async def limited(name):
        async with permits:
            await function(text, name)

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(limited(name))


async def main():
    print("Each failure by itself:")
    await for_each(send_or_report, "news", ["Ada", "Bob", "Cy", "Dan"])

    print("The first failure ends it:")
    try:
        await for_each(send, "news", ["Ada", "Cy", "Bob"])
        print("all have it")
    except* Refused as group:
        for error in group.exceptions:
            print(error)
    await asyncio.sleep(0.3)
    print("0.3 s later")


asyncio.run(main())
