import asyncio
import time

STEP = 0.2


class NotFound(Exception):
    pass


class Busy(Exception):
    pass


async def price(article):
    """Stands for a request to a server."""
    await asyncio.sleep(STEP)
    match article:
        case "tea":
            return 3
        case "pot":
            return 20
        case "sugar":
            raise Busy("the server is busy")
    raise NotFound("nobody sells it")


async def price_if_sold(article):
    """Returns 0 for an article that nobody sells; any other error is the caller's."""
    try:
        return await price(article)
    except NotFound:
        return 0


class Connection:
    open = 0

    async def __aenter__(self):
        Connection.open += 1

    async def __aexit__(self, *error):
        Connection.open -= 1


async def closed_by_hand():
    """The mistake: the exception leaves before the connection is closed."""
    Connection.open += 1
    found = await price("sugar")
    Connection.open -= 1
    return found


async def closed_by_with():
    async with Connection():
        return await price("sugar")


def blocking_call():
    time.sleep(3 * STEP)
    print("the call has ended")


async def heartbeat():
    for _ in range(2):
        await asyncio.sleep(STEP)
        print("heartbeat")


async def write_file():
    await asyncio.sleep(2 * STEP)
    print("the file is written")


async def main():
    print("Don't await one call after the other:")
    print(f"total: {await price('tea') + await price('pot')}")
    print("Do await them together:")
    print(f"total: {sum(await asyncio.gather(price('tea'), price('pot')))}")

    print("Don't swallow all errors:")
    try:
        sugar = await price("sugar")
    except Exception:
        sugar = 0
    print(f"sugar: {sugar}")
    print("Do handle the error that you know, and return the others:")
    for article in ("unicorn", "sugar"):
        try:
            print(f"{article}: {await price_if_sold(article)}")
        except Busy as error:
            print(f"{article}: {error}")

    for heading, fetch in [
        ("Don't close by hand:", closed_by_hand),
        ("Do close in a guard:", closed_by_with),
    ]:
        print(heading)
        failed = False
        try:
            await fetch()
        except Busy:
            failed = True
        print(f"failed: {str(failed).lower()}, still open: {Connection.open}")
        Connection.open = 0

    print("Don't block:")

    async def blocking():
        blocking_call()

    await asyncio.gather(heartbeat(), blocking())
    print("Do block in a thread:")
    await asyncio.gather(heartbeat(), asyncio.to_thread(blocking_call))

    print("Don't spawn what you await at once:")
    try:
        async with asyncio.timeout(STEP):
            await asyncio.create_task(write_file())
    except TimeoutError:
        print("timed out")
    await asyncio.sleep(2 * STEP)
    print("Do await it:")
    try:
        async with asyncio.timeout(STEP):
            await write_file()
    except TimeoutError:
        print("timed out")
    print("Do spawn what has to run beside other work:")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(write_file())
        print(f"price of tea: {await price('tea')}")


asyncio.run(main())
