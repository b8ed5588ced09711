import asyncio
import sqlite3
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory


class DatabaseError(Exception):
    pass


async def to_its_end(work):
    """A cancel waits until it is done: a thread that has begun cannot be stopped."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        raise


class Database:
    """One connection, used by one call at a time."""

    def __init__(self, path):
        self._path = path
        self._connection = None
        self._lock = asyncio.Lock()

    async def __aenter__(self):
        # Calls come from several threads. Without an isolation level there is no
        # transaction unless one is begun, and nothing to commit.
        self._connection = await asyncio.to_thread(
            sqlite3.connect,
            self._path,
            check_same_thread=False,
            isolation_level=None,
        )
        return self

    async def call(self, work):
        async with self._lock:
            if self._connection is None:
                raise DatabaseError("the database is closed")
            return await to_its_end(asyncio.to_thread(work, self._connection))

    async def __aexit__(self, *_):
        await to_its_end(self._close())

    async def _close(self):
        async with self._lock:
            connection, self._connection = self._connection, None
            await asyncio.to_thread(connection.close)


@asynccontextmanager
async def connect(path):
    async with Database(path) as database:
        pragma = "PRAGMA synchronous = OFF"
        await database.call(lambda sqlite: sqlite.execute(pragma).close())
        print("Connected")
        yield database


async def add(database, name):
    insert = "INSERT INTO users VALUES (?1)"
    return await database.call(
        lambda sqlite: sqlite.execute(insert, [name]).rowcount
    )


async def count(database):
    select = "SELECT count(*) FROM users"
    (users,) = await database.call(lambda sqlite: sqlite.execute(select).fetchone())
    return users


async def register(path, names):
    try:
        async with connect(path) as database:
            create = "CREATE TABLE IF NOT EXISTS users (name TEXT UNIQUE)"
            await database.call(lambda sqlite: sqlite.execute(create).close())
            for name in names:
                await add(database, name)
            return await count(database)
    finally:
        print("Disconnected")


async def main():
    directory = await asyncio.to_thread(TemporaryDirectory)
    with directory:
        path = Path(directory.name) / "users.db"

        print("Two users:")
        print(f"{await register(path, ['Ada', 'Grace'])} users")

        print("The second of three users is there already:")
        try:
            print(f"{await register(path, ['Alan', 'Ada', 'Edsger'])} users")
        except sqlite3.IntegrityError as error:
            print(f"Error: {error}")

        print("Opened again, for two tasks:")
        async with connect(path) as database:
            print(f"{await count(database)} users")
            added = await asyncio.gather(
                add(database, "Barbara"), add(database, "Edsger")
            )
            print(f"{sum(added)} rows are added")
            print(f"{await count(database)} users")

        print("Used after it was closed:")
        try:
            print(f"{await count(database)} users")
        except DatabaseError as error:
            print(f"Error: {error}")


asyncio.run(main())
