import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

LATENCY = 0.1


class Connection:
    def __init__(self, name):
        self.name = name
        self.requests = 0

    async def request(self):
        await asyncio.sleep(LATENCY)
        self.requests += 1


@asynccontextmanager
async def connected(name):
    if name in ("fax", "clock"):
        await asyncio.sleep(LATENCY)
    if name == "fax":
        raise ConnectionError(f"{name} does not answer")
    print(f"{name} opened")
    connection = Connection(name)
    try:
        yield connection
    finally:
        await asyncio.sleep(LATENCY)
        # An error here would take the place of a cancellation.
        if name == "tape" and not asyncio.current_task().cancelling():
            raise ConnectionError(f"{name} is stuck")
        print(f"{name} closed after {connection.requests} requests")


async def open_all(stack, names):
    """Opens connections that the caller's stack closes."""
    return [await stack.enter_async_context(connected(name)) for name in names]


async def work(names, error=None):
    """Opens connections, uses the first of them, and closes them."""
    async with AsyncExitStack() as stack:
        connections = await open_all(stack, names)
        await connections[0].request()
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

    print("One does not close, after an error:")
    try:
        await work(["disk", "tape"], ValueError("no work was done"))
    except ConnectionError as error:
        print(message(error))

    print("Cancelled when two of three are open:")
    task = asyncio.create_task(work(["disk", "mail", "clock"]))
    await asyncio.sleep(LATENCY / 2)
    task.cancel()
    await asyncio.wait([task])
    if task.cancelled():
        print("cancelled, and all is closed")

    print("Forgotten, and not closed:")
    stack = AsyncExitStack()
    connections = await open_all(stack, ["disk", "mail", "tape"])
    # The collector gives the generators to the loop, which closes each in a task.
    del connections, stack
    print("the program continues")
    await asyncio.sleep(3 * LATENCY)


asyncio.run(main())
