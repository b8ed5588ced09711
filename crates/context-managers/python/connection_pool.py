import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass


class TimedOut(Exception):
    pass


class Closed(Exception):
    pass


class Pool:
    """At most so many connections, opened when they are first needed and reused."""

    def __init__(self, manager, size, patience):
        self._manager = manager
        self._patience = patience
        self._places = asyncio.Semaphore(size)
        self._idle = []
        self._used = 0
        self._none_used = asyncio.Event()
        self._closed = False

    @asynccontextmanager
    async def connection(self):
        try:
            async with asyncio.timeout(self._patience):
                await self._places.acquire()
                self._used += 1
                try:
                    connection = await self._take_or_open()
                except BaseException:
                    self._leave()
                    raise
        except TimeoutError:
            raise TimedOut("no connection in time") from None
        try:
            yield connection
        finally:
            self._idle.append(connection)
            self._leave()

    async def _take_or_open(self):
        if self._closed:
            raise Closed("the pool is closed")
        while self._idle:
            connection = self._idle.pop()
            if not self._manager.is_broken(connection):
                return connection
        connection = await self._manager.open()
        if self._closed:
            self._idle.append(connection)
            raise Closed("the pool is closed")
        return connection

    def _leave(self):
        self._used -= 1
        if self._used == 0 and self._closed:
            self._none_used.set()
        self._places.release()

    async def close(self):
        """Waits until all are given back, and returns those that are not broken."""
        self._closed = True
        # Whoever waits finds the pool closed, and leaves this place to the next.
        self._places.release()
        if self._used > 0:
            await self._none_used.wait()
        connections, self._idle = self._idle, []
        return [c for c in connections if not self._manager.is_broken(c)]


@dataclass
class Connection:
    number: int
    awaits_answer: bool = False

    async def query(self, text, wait):
        self.awaits_answer = True
        await asyncio.sleep(wait)
        assert text != "odd", "an answer that nobody understands"
        self.awaits_answer = False


class Refused(Exception):
    pass


class Database:
    def __init__(self, refuses):
        self._opened = 0
        self._refuses = refuses

    async def open(self):
        self._opened += 1
        number = self._opened
        await asyncio.sleep(0.1)
        if number == self._refuses:
            raise Refused(f"connection {number} is refused")
        return Connection(number)

    def is_broken(self, connection):
        return connection.awaits_answer


def connect(size, refuses):
    return Pool(Database(refuses), size, 0.4)


async def work(pool, name, queries):
    try:
        async with pool.connection() as connection:
            print(f"{name} has connection {connection.number}")
            for text, wait in queries:
                await connection.query(text, wait)
                await asyncio.sleep(0.1)
            print(f"{name} gives {connection.number} back")
    except Refused as error:
        print(f"{name}: a connection cannot be opened: {error}")
    except (TimedOut, Closed) as error:
        print(f"{name}: {error}")


async def work_all(pool, workers):
    async with asyncio.TaskGroup() as tasks:
        for name, wait, queries in workers:
            await asyncio.sleep(wait)
            tasks.create_task(work(pool, name, queries))


async def abort(pool, name, queries, wait):
    task = asyncio.create_task(work(pool, name, queries))
    await asyncio.sleep(wait)
    task.cancel()
    await asyncio.wait([task])
    if task.cancelled():
        print(f"{name} is aborted")


async def main():
    print("Five workers, three connections:")
    pool = connect(3, refuses=0)
    query = [("a", 0.3)]
    names = ["W1", "W2", "W3", "W4", "W5"]
    await work_all(pool, [(name, 0.05, query) for name in names])

    print("Nobody waits for longer than 0.4 s:")
    long = [("a", 0.6)]
    workers = [("W6", 0.05, long), ("W7", 0.05, long), ("W8", 0.05, long)]
    others = [("W9", 0.05, query), ("W10", 0.25, query)]
    await work_all(pool, workers + others)

    print("Aborted between two queries, it is used again:")
    pool = connect(1, refuses=3)
    await abort(pool, "Ada", [("a", 0.1), ("b", 0.1)], 0.25)

    print("Aborted within a query, it is replaced:")
    await abort(pool, "Bob", [("a", 0.3)], 0.1)

    print("After a panic within a query too, but the server refuses:")
    try:
        await work(pool, "Cat", [("odd", 0.1)])
    except AssertionError:
        print("Cat panicked")
    await work(pool, "Dan", [])

    print("Closed while Eve has the connection and Fay waits for it:")

    async def closing():
        await asyncio.sleep(0.25)
        print("closing")
        for connection in await pool.close():
            print(f"goodbye to {connection.number}")

    working = work_all(pool, [("Eve", 0, query), ("Fay", 0.15, query)])
    await asyncio.gather(working, closing())
    await work(pool, "Gus", [])


asyncio.run(main())
