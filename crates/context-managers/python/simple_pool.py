import asyncio


class Connection:
    pass


async def open_connection():
    await asyncio.sleep(0.1)
    print("Opened a connection")
    return Connection()


class Pool:
    def __init__(self, size):
        self._permits = asyncio.Semaphore(size)
        self._idle = []

    async def fetch(self, table):
        async with self._permits:
            connection = self._idle.pop() if self._idle else await open_connection()
            await asyncio.sleep(1)  # The query, on this connection.
            self._idle.append(connection)
            return f"Rows of {table}"


async def main():
    pool = Pool(3)
    rows = [pool.fetch(table) for table in "ABCDE"]
    print(", ".join(await asyncio.gather(*rows)))


asyncio.run(main())
