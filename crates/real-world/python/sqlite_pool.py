# /// script
# requires-python = ">=3.11"
# dependencies = ["aiosqlite"]
# ///
import asyncio
import sqlite3
import tempfile
import threading
import time
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from pathlib import Path

import aiosqlite


class PoolError(Exception):
    pass


class Side:
    """The connections that read, or the one that writes."""

    def __init__(self, begin, mode, permits):
        self.begin = begin
        self.mode = mode
        self.permits = permits
        self.free = asyncio.Semaphore(permits)
        self.idle = []


class SqlitePool:
    """Connections to one SQLite file: one that writes, and several that read."""

    def __init__(self, path, readers, acquire, busy, pragmas):
        self._path = path
        self._acquire = acquire
        self._busy = busy
        self._pragmas = pragmas
        self._readers = Side("BEGIN", "ro", readers)
        self._writers = Side("BEGIN IMMEDIATE", "rwc", 1)
        self._closed = False
        self._closing = asyncio.Lock()

    @classmethod
    async def open(cls, path, **settings):
        pool = cls(path, **settings)
        async with pool.write():
            return pool

    def read(self):
        """A connection that reads; all that it reads is of one state."""
        return self._transaction(self._readers)

    def write(self):
        """A transaction that writes: committed at the end, rolled back on an error."""
        return self._transaction(self._writers)

    async def close(self):
        self._closed = True
        async with self._closing, AsyncExitStack() as permits:
            for side in [self._readers, self._writers]:
                for _ in range(side.permits):
                    await permits.enter_async_context(side.free)
            await asyncio.shield(self._close_idle())

    async def _close_idle(self):
        # The writer is closed last: those that only read cannot empty the log.
        for idle in [self._readers.idle, self._writers.idle]:
            while idle:
                await idle.pop().close()

    @asynccontextmanager
    async def _transaction(self, side):
        if self._closed:
            raise PoolError("the pool is closed")
        try:
            async with asyncio.timeout(self._acquire):
                await side.free.acquire()
        except TimeoutError:
            raise PoolError("no connection is free") from None
        try:
            if self._closed:
                raise PoolError("the pool is closed")
            connection = await self._begin(side)
        except BaseException:
            side.free.release()
            raise
        given_up = threading.Event()
        try:
            # After about so many of its own steps SQLite asks whether it was given up.
            await connection.set_progress_handler(given_up.is_set, 100)
            yield connection
            if not connection.in_transaction:
                raise PoolError("the work ended its transaction itself")
            await connection.commit()
        except BaseException:
            # A query would run on, in the connection's thread.
            given_up.set()
            raise
        finally:
            await asyncio.shield(self._give_back(connection, side))

    async def _give_back(self, connection, side):
        try:
            # In line behind what still runs.
            await connection.set_progress_handler(None, 0)
            if connection.in_transaction:
                with suppress(sqlite3.Error):
                    await connection.rollback()
            if connection.in_transaction:
                await connection.close()
            else:
                side.idle.append(connection)
        finally:
            side.free.release()

    async def _begin(self, side):
        connection = side.idle.pop() if side.idle else await self._connect(side)
        try:
            await connection.execute(side.begin)
            await connection.execute_fetchall("SELECT count(*) FROM sqlite_schema")
            return connection
        except BaseException:
            await asyncio.shield(connection.close())
            raise

    async def _connect(self, side):
        connection = await aiosqlite.connect(
            f"file:{self._path}?mode={side.mode}",
            uri=True,
            timeout=self._busy,
            isolation_level=None,
        )
        try:
            await connection.executescript(self._pragmas)
            if side.mode != "ro":
                await connection.execute("PRAGMA journal_mode = WAL")
        except BaseException:
            await asyncio.shield(connection.close())
            raise
        return connection


BALANCE = "SELECT balance FROM accounts WHERE name = ?"
UPDATE = "UPDATE accounts SET balance = ? WHERE name = ?"


async def balance(connection, name):
    [[amount]] = await connection.execute_fetchall(BALANCE, (name,))
    return amount


async def pay_in(connection, name, amount):
    """Pays in, and returns the balance. It reads first and writes then."""
    amount += await balance(connection, name)
    await connection.execute(UPDATE, (amount, name))
    return amount


class TooLittle(Exception):
    pass


async def transfer(connection, from_, to, amount):
    await pay_in(connection, to, amount)
    left = await pay_in(connection, from_, -amount)
    if left < 0:
        raise TooLittle(f"{from_} has {-left} too little")


async def slow_read(connection, pause):
    """Reads twice, and so long apart."""
    before = await balance(connection, "Alice")
    await asyncio.sleep(pause)
    return before, await balance(connection, "Alice")


ENDLESS = """WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n FROM numbers)
             SELECT count(*) FROM numbers"""


def two_that_read_first(path):
    """Two that both read and then write, without a pool."""

    def balance(connection):
        return connection.execute(BALANCE, ("Alice",)).fetchone()[0]

    def pay_in(connection, amount):
        amount += balance(connection)
        connection.execute(UPDATE, (amount, "Alice"))
        return amount

    def connect():
        return closing(sqlite3.connect(path, isolation_level=None))

    with connect() as first, connect() as second:
        second.execute("PRAGMA synchronous = OFF")
        first.execute("BEGIN")
        print(f"the first reads {balance(first)}")
        second.execute("BEGIN")
        print(f"the second pays in, Alice has {pay_in(second, 10)}")
        second.execute("COMMIT")
        return pay_in(first, 10)


def write_meanwhile(path, pause):
    """Another program, which writes for so long."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(pause)
        other.execute("COMMIT")


async def after(delay, coroutine):
    await asyncio.sleep(delay)
    return await coroutine


async def part(start, begin, title):
    """Begins a part of the demonstration so long after the start."""
    await asyncio.sleep(start + begin - asyncio.get_running_loop().time())
    print(title)


def files(folder):
    """The names of the files, sorted."""
    return ", ".join(sorted(path.name for path in Path(folder).iterdir()))


async def main():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "accounts.db"
        pool = await SqlitePool.open(
            path,
            readers=2,
            acquire=1,
            busy=1,
            pragmas="PRAGMA synchronous = OFF",
        )
        try:
            await use(folder, path, pool)
        finally:
            # The thread of an open connection would keep the program from ending.
            await pool.close()


async def use(folder, path, pool):
    start = asyncio.get_running_loop().time()
    async with pool.write() as connection:
        await connection.execute(
            "CREATE TABLE accounts (name TEXT PRIMARY KEY, balance INTEGER NOT NULL)"
        )
        await connection.execute("INSERT INTO accounts VALUES ('Alice', 100), ('Bob', 0)")

    await part(start, 0.1, "Two may read at once, each for 2 s:")

    async def slow(pause):
        async with pool.read() as connection:
            return await slow_read(connection, pause)

    async def read(name, begin):
        try:
            await asyncio.sleep(begin)
            amount, _ = await slow(2)
            print(f"{name}: {amount}")
        except PoolError as error:
            print(f"{name}: {error}")

    await asyncio.gather(read("A", 0), read("B", 0.8), read("C", 1.4), read("D", 1.5))

    await part(start, 4.5, "A read goes on while there is a write:")

    async def pay():
        async with pool.write() as connection:
            return await pay_in(connection, "Alice", 50)

    async def pay_and_report():
        try:
            print(f"Alice has: {await pay()}")
        except sqlite3.OperationalError as error:
            print(f"Alice has: {error}")

    amounts, _ = await asyncio.gather(slow(1), after(0.3, pay_and_report()))
    print(f"read before and after: {amounts}")

    await part(start, 6, "A transfer fails when one half is done:")
    try:
        async with pool.write() as connection:
            await transfer(connection, "Alice", "Bob", 151)
        print("transfer of 151: done")
    except TooLittle as error:
        print(f"transfer of 151: {error}")
    async with pool.read() as connection:
        print(f"Bob has: {await balance(connection, 'Bob')}")

    print("Two transactions read, then write, outside of the pool:")
    try:
        amount = await asyncio.to_thread(two_that_read_first, path)
        print(f"the first pays in: {amount}")
    except sqlite3.OperationalError as error:
        print(f"the first pays in: {error}")
    print("And in the pool:")
    first, second = await asyncio.gather(pay(), pay())
    print(f"Alice has {first}, then {second}")

    for begin, pause in [(6.5, 300), (7.5, 2000)]:
        await part(start, begin, f"Another program writes for {pause} ms:")
        other = asyncio.create_task(
            asyncio.to_thread(write_meanwhile, path, pause / 1000)
        )
        await after(0.08, pay_and_report())
        await other

    await part(start, 10, "A write is given up after 0.3 s, another waits:")

    async def endless():
        try:
            async with asyncio.timeout(0.3), pool.write() as connection:
                await pay_in(connection, "Alice", 1000)
                await connection.execute_fetchall(ENDLESS)
        except TimeoutError:
            print("gave up")

    await asyncio.gather(endless(), after(0.1, pay_and_report()))

    await part(start, 11, "Closed while one reads:")

    async def late():
        try:
            async with pool.read() as connection:
                print(f"another: {await balance(connection, 'Alice')}")
        except PoolError as error:
            print(f"another: {error}")

    print(files(folder))
    amounts, _, _ = await asyncio.gather(
        slow(1), after(0.3, pool.close()), after(0.6, late())
    )
    print(f"read before and after: {amounts}")
    print(files(folder))


asyncio.run(main())
