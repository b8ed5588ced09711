import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

LATENCY = 0.1


@asynccontextmanager
async def connected(name):
    if name in ("fax", "clock"):
        await asyncio.sleep(LATENCY)
    if name == "fax":
        raise ConnectionError(f"{name} does not answer")
    print(f"{name} opened")
    try:
        yield name
    finally:
        await asyncio.sleep(LATENCY)
        if name == "tape":
            raise ConnectionError(f"{name} is stuck")
        print(f"{name} closed")


async def open_all(names):
    """Opens all, or none: if one fails, those that are open are closed."""
    async with AsyncExitStack() as stack:
        connections = [
            await stack.enter_async_context(connected(name)) for name in names
        ]
        return connections, stack.pop_all()


async def work(names, error=None):
    """Opens connections, works with them, and closes them."""
    async with AsyncExitStack() as stack:
        for name in names:
            await stack.enter_async_context(connected(name))
        await asyncio.sleep(LATENCY)
        print(f"{len(names)} connections at work")
        if error is not None:
            raise error
        return 42


def message(error):
    """An error in a closing has the error before it as its context."""
    errors = [str(error)]
    while error := error.__context__:
        errors.append(str(error))
    return ", then: ".join(reversed(errors))


async def main():
    print("Closed in reverse:")
    print(f"result: {await work(['disk', 'mail', 'clock'])}")

    print("The third does not open:")
    try:
        await work(["disk", "mail", "fax"])
    except ConnectionError as error:
        print(message(error))

    print("A closing fails, after the body has:")
    try:
        await work(["disk", "tape"], ValueError("no work was done"))
    except ConnectionError as error:
        print(message(error))

    print("Handed to the caller:")
    connections, stack = await open_all(["disk", "mail"])
    print(f"the caller has {len(connections)} connections")
    await stack.aclose()

    # A stack that is only forgotten closes nothing, so this gives it to a task.
    print("Not closed, but dropped:")
    _, stack = await open_all(["disk", "mail"])
    closing = asyncio.create_task(stack.aclose())
    print("the program goes on")
    await closing

    print("Aborted when two of three are open:")
    task = asyncio.create_task(work(["disk", "mail", "clock"]))
    await asyncio.sleep(LATENCY / 2)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        print("cancelled, and all is closed")


asyncio.run(main())
