import asyncio
from contextlib import asynccontextmanager


class Refused(Exception):
    pass


class Full(Exception):
    pass


@asynccontextmanager
async def connected(server, name):
    """Opens a connection and closes it at the end."""
    connection = await server.connect(name)
    try:
        yield connection
    finally:
        await server.close(connection)


async def open_both(server, names):
    """Opens both at once. If one is refused, the other is closed."""
    both = await asyncio.gather(
        *(server.connect(name) for name in names), return_exceptions=True
    )
    refused = [each for each in both if isinstance(each, Exception)]
    if refused:
        for connection in both:
            if connection not in refused:
                await server.close(connection)
        raise refused[0]
    return both


class Server:
    """Counts its open connections."""

    def __init__(self):
        self.open = 0

    async def connect(self, name):
        await asyncio.sleep(0.1 if name == "cellar" else 0.2)
        if name == "attic":
            raise Refused(f"{name} refused")
        self.open += 1
        print(f"{name} opened")
        return name

    async def close(self, connection):
        await asyncio.sleep(0.1)
        self.open -= 1
        print(f"{connection} closed")


async def copy(server, names, rows):
    async with (
        connected(server, names[0]) as source,
        connected(server, names[1]) as target,
    ):
        await asyncio.sleep(0.1)
        if rows > 2:
            raise Full(f"{target} is full")
        print(f"copied {rows} rows from {source} to {target}")


async def report(server, work):
    try:
        await work
    except (Refused, Full) as error:
        print(error)
    print(f"still open: {server.open}")


async def main():
    server = Server()

    print("Opened in order, closed in reverse:")
    await report(server, copy(server, ["cellar", "kitchen"], 2))

    print("The body fails:")
    await report(server, copy(server, ["cellar", "kitchen"], 3))

    print("The second does not open:")
    await report(server, copy(server, ["cellar", "attic"], 2))

    print("Both are opened at once, and one is closed as the other fails:")
    await report(server, open_both(server, ["cellar", "attic"]))

    print("Both are opened at once, and one is left open as the other fails:")
    names = ["cellar", "attic"]
    await report(server, asyncio.gather(*(server.connect(name) for name in names)))


asyncio.run(main())
