import asyncio
import weakref


class Connection:
    def __init__(self, name):
        self.name = name
        self.is_closed = False

    async def close(self):
        await asyncio.sleep(0.1)
        print(f"{self.name} closed")
        self.is_closed = True

    def __del__(self):
        if not self.is_closed:
            print(f"{self.name} was never closed")


class Registry:
    """Knows all connections that somebody holds."""

    def __init__(self):
        self._connections = weakref.WeakSet()

    def connect(self, name):
        connection = Connection(name)
        self._connections.add(connection)
        return connection

    def open(self):
        held = list(self._connections)
        return [connection for connection in held if not connection.is_closed]

    async def close_all(self):
        open = sorted(self.open(), key=lambda connection: connection.name)
        await asyncio.gather(*(connection.close() for connection in open))


async def use_connection(registry, name, has_work):
    connection = registry.connect(name)
    await asyncio.sleep(0.1)
    if has_work:
        await connection.close()


async def main():
    registry = Registry()

    print("One user closes its connection, another forgets to:")
    await use_connection(registry, "A", True)
    await use_connection(registry, "B", False)
    print(f"{len(registry.open())} are open")

    print("Two connections are held until the end:")
    held = [registry.connect(name) for name in "CD"]
    print(f"{len(registry.open())} are open")
    await registry.close_all()
    print(f"{len(registry.open())} are open")
    del held


asyncio.run(main())
