import asyncio
from contextlib import asynccontextmanager


class Closed(Exception):
    pass


class Pool:
    """Opens connections when they are first needed, and reuses them."""

    def __init__(self, manager, max_size, acquire_timeout):
        self._manager = manager
        self._acquire_timeout = acquire_timeout
        self._permits = asyncio.Semaphore(max_size)
        self._idle = []
        self._tasks = set()
        self._used = 0
        self._none_used = asyncio.Event()
        self._closed = False

    @asynccontextmanager
    async def acquire(self):
        async with asyncio.timeout(self._acquire_timeout):
            connection = await self._wait_or_connect()
        try:
            yield connection
        finally:
            self._release(connection)

    async def _wait_or_connect(self):
        await self._permits.acquire()
        self._used += 1
        if self._closed:
            self._release()
            raise Closed("the pool is closed")
        while self._idle:
            connection = self._idle.pop()
            if not self._manager.has_broken(connection):
                return connection
            connection.close()
        # A connection that is open too late for this caller is there for the next.
        task = asyncio.create_task(self._manager.connect())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            connection = await asyncio.shield(task)
        except BaseException:
            task.add_done_callback(self._release_late)
            raise
        if self._closed:
            self._release(connection)
            raise Closed("the pool is closed")
        return connection

    def _release_late(self, task):
        failed = task.cancelled() or task.exception()
        self._release(None if failed else task.result())

    def _release(self, connection=None):
        if connection and self._manager.has_broken(connection):
            connection.close()
        elif connection:
            self._idle.append(connection)
        self._used -= 1
        if self._used == 0 and self._closed:
            self._none_used.set()
        self._permits.release()

    async def close(self):
        """Waits until all are back, and returns those that are not broken."""
        self._closed = True
        # A waiter finds the pool closed, and wakes the next.
        self._permits.release()
        if self._used > 0:
            await self._none_used.wait()
        connections, self._idle = self._idle, []
        return connections


class Connection:
    def __init__(self, number):
        self.number = number
        self.in_query = False

    async def query(self, delay):
        self.in_query = True
        await asyncio.sleep(delay)
        self.in_query = False

    def close(self):
        print(f"connection {self.number} is closed")


class Database:
    opened = 0

    async def connect(self):
        await asyncio.sleep(0.1)
        self.opened += 1
        return Connection(self.opened)

    def has_broken(self, connection):
        return connection.in_query


def new_pool(max_size):
    return Pool(Database(), max_size, acquire_timeout=0.4)


async def work(pool, name, delay):
    """Makes a query, and pauses for 0.1 s."""
    try:
        async with pool.acquire() as connection:
            print(f"{name} has connection {connection.number}")
            await connection.query(delay)
            await asyncio.sleep(0.1)
            print(f"{name} returns connection {connection.number}")
    except TimeoutError:
        print(f"{name}: no connection in time")
    except Closed as error:
        print(f"{name}: {error}")


async def cancel(pool, name, delay):
    task = asyncio.create_task(work(pool, name, 0.2))
    await asyncio.sleep(delay)
    task.cancel()
    await asyncio.wait([task])
    if task.cancelled():
        print(f"{name} is cancelled")


async def main():
    print("Five workers, three connections, and 0.4 s to acquire one:")
    pool = new_pool(3)
    async with asyncio.TaskGroup() as tasks:
        workers = [("A", 0.3), ("B", 0.3), ("C", 0.6), ("D", 0.5), ("E", 0.3)]
        for name, delay in workers:
            tasks.create_task(work(pool, name, delay))
            await asyncio.sleep(0.05)
        tasks.create_task(work(pool, "F", 0.3))
    for connection in await pool.close():
        connection.close()

    print("Cancelled between two queries, the connection is reused:")
    pool = new_pool(1)
    await cancel(pool, "Ada", 0.35)

    print("Cancelled during a query, it is closed at once:")
    await cancel(pool, "Bob", 0.1)
    await work(pool, "Cat", 0.1)

    print("Closed while Dan has the connection and Eve waits for it:")

    async def closing():
        await asyncio.sleep(0.1)
        print("closing the pool")
        for connection in await pool.close():
            print(f"a last message to connection {connection.number}")
            connection.close()

    async def eve():
        await asyncio.sleep(0.05)
        await work(pool, "Eve", 0.1)

    await asyncio.gather(work(pool, "Dan", 0.2), eve(), closing())
    await work(pool, "Fay", 0.1)


asyncio.run(main())
