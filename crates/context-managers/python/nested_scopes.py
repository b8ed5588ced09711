import asyncio
from contextlib import asynccontextmanager

LATENCY = 0.1
CAPACITY = 2


class Refused(Exception):
    pass


class Full(Exception):
    pass


@asynccontextmanager
async def connected(server, name):
    """Opens a connection and closes it at the end."""
    connection = await server.open(name)
    try:
        yield connection
    finally:
        await connection.close()


async def open_both(server, names):
    """Opens both at once. If one is refused, the other is closed."""
    opened = await asyncio.gather(
        *(server.open(name) for name in names), return_exceptions=True
    )
    for refused in opened:
        if isinstance(refused, BaseException):
            for connection in opened:
                if isinstance(connection, Connection):
                    await connection.close()
            raise refused
    return opened


async def copy(server, names, rows):
    """Copies so many rows, and returns their number."""
    async with (
        connected(server, names[0]) as source,
        connected(server, names[1]) as target,
    ):
        for row in range(1, rows + 1):
            await target.write(await source.read(row))
        return rows


class Server:
    """Knows which connections are open."""

    def __init__(self):
        self.opened = []

    async def open(self, name):
        await asyncio.sleep(LATENCY if name == "cellar" else 2 * LATENCY)
        if name == "attic":
            raise Refused(f"{name} refused")
        print(f"{name} opened")
        self.opened.append(name)
        return Connection(self, name)


class Connection:
    def __init__(self, server, name):
        self.server = server
        self.name = name
        self.rows = 0

    async def read(self, row):
        return f"row {row} of {self.name}"

    async def write(self, row):
        await asyncio.sleep(LATENCY)
        if self.rows == CAPACITY:
            raise Full(f"{self.name} is full")
        self.rows += 1
        print(f"{row} written to {self.name}")

    async def close(self):
        await asyncio.sleep(LATENCY)
        self.server.opened.remove(self.name)
        print(f"{self.name} closed")


async def report(server, copying):
    try:
        print(f"{await copying} rows copied")
    except (Refused, Full) as error:
        print(error)
    if server.opened:
        print(f"still open: {', '.join(server.opened)}")
    else:
        print("none is open")


async def main():
    server = Server()

    print("Opened in order, closed in reverse:")
    await report(server, copy(server, ["cellar", "kitchen"], 2))

    print("The body fails:")
    await report(server, copy(server, ["cellar", "kitchen"], 3))

    print("The second does not open:")
    await report(server, copy(server, ["cellar", "attic"], 2))

    print("Both opened at once:")
    cellar, kitchen = await open_both(server, ["cellar", "kitchen"])
    await kitchen.close()
    await cellar.close()

    print("Opened at once, and closed as the other fails:")
    await report(server, open_both(server, ["cellar", "attic"]))

    print("Opened at once, and left open as the other fails:")
    names = ["cellar", "attic"]
    await report(server, asyncio.gather(*(server.open(name) for name in names)))


asyncio.run(main())
