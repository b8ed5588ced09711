import asyncio
import weakref


class ServerIsGone(Exception):
    pass


class Connection:
    def __init__(self, number):
        self.name = f"Resource-{number}"
        self.server_is_gone = number == 3
        self.server_hangs = number == 5
        self.closed = False
        self._closing = asyncio.Lock()

    async def close(self):
        async with self._closing:
            if self.closed:
                return
            print(f"Closing {self.name}")
            await asyncio.sleep(0.1)
            if self.server_is_gone:
                raise ServerIsGone("its server is gone")
            if self.server_hangs:
                await asyncio.Future()
            self.closed = True


class Share:
    """What users hold: when it is collected, the connection is not."""

    def __init__(self, connection):
        self.name = connection.name
        self._connection = connection

    async def close(self):
        await self._connection.close()


class Manager:
    def __init__(self, limit):
        self._shares = {}
        self._limit = limit

    def add(self, connection):
        share = Share(connection)
        self._shares[connection] = weakref.ref(share)
        return share

    def open(self):
        return sum(not connection.closed for connection in self._shares)

    async def close_forgotten(self):
        return await self._close_if(lambda share: share() is None)

    async def close_all(self):
        return await self._close_if(lambda share: True)

    async def _close(self, connection):
        try:
            async with asyncio.timeout(self._limit):
                await connection.close()
        except TimeoutError:
            raise TimeoutError("it took too long") from None

    async def _close_if(self, chosen):
        connections = [
            connection
            for connection, share in self._shares.items()
            if not connection.closed and chosen(share)
        ]
        outcomes = await asyncio.gather(
            *(self._close(connection) for connection in connections),
            return_exceptions=True,
        )
        for connection in list(self._shares):
            if connection.closed or connection in connections:
                del self._shares[connection]
        names = [connection.name for connection in connections]
        return zip(names, outcomes)


async def sweep(manager, pause):
    while True:
        await asyncio.sleep(pause)
        print_reports("forgotten", await manager.close_forgotten())


def print_reports(why, reports):
    for name, error in reports:
        if error is None:
            print(f"{name} was {why}, now it is closed")
        else:
            print(f"{name} was {why}, closing failed: {error}")


async def use_resource(manager, number):
    resource = manager.add(Connection(number))
    await asyncio.sleep(0.1)
    if number % 2 == 1:
        print(f"{resource.name} has nothing to do")
        return
    await resource.close()


async def main():
    manager = Manager(limit=0.3)
    pause = 1
    sweeping = asyncio.create_task(sweep(manager, pause))

    print("Six resources, three are not closed by their users:")
    for number in range(6):
        await use_resource(manager, number)
    print(f"{manager.open()} are open")

    print("The next sweep, after 1 s, closes each within 0.3 s:")
    in_use = manager.add(Connection(6))
    await asyncio.sleep(0.6)
    print(f"{manager.open()} is open")

    print("One is in use, which no sweep closes:")
    await asyncio.sleep(pause)
    print(f"{manager.open()} is open")

    print("The end:")
    sweeping.cancel()
    await asyncio.wait([sweeping])
    print_reports("still in use", await manager.close_all())
    print(f"{manager.open()} are open")
    await in_use.close()
    print("Closed again")


asyncio.run(main())
