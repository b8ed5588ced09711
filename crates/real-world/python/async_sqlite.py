import asyncio
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass


class Closed(Exception):
    pass


class Database:
    """A connection to SQLite on a thread of its own, which is sent what to do with it."""

    def __init__(self, thread, connection):
        self._thread = thread
        self._connection = connection

    @classmethod
    async def open(cls, connect):
        thread = ThreadPoolExecutor(max_workers=1)
        loop = asyncio.get_running_loop()
        return cls(thread, await loop.run_in_executor(thread, connect))

    async def call(self, work, *args):
        given_up = threading.Event()

        def run():
            # After about so many of its own steps SQLite asks whether it was given up.
            self._connection.set_progress_handler(given_up.is_set, 100)
            try:
                return work(self._connection, *args)
            finally:
                self._connection.set_progress_handler(None, 0)
                self._connection.rollback()

        try:
            call = self._thread.submit(run)
        except RuntimeError:
            raise Closed("the database is closed") from None
        try:
            # Cancelled in line, it is never begun.
            return await asyncio.wrap_future(call)
        finally:
            given_up.set()

    async def close(self):
        try:
            closing = self._thread.submit(self._connection.close)
        except RuntimeError:
            return
        # From here on calls are refused.
        self._thread.shutdown(wait=False)
        await asyncio.shield(asyncio.wrap_future(closing))


async def call_with_lock(lock, connection, work):
    def locked():
        with lock:
            return work(connection)

    return await asyncio.to_thread(locked)


@dataclass
class User:
    name: str
    email: str | None

    @classmethod
    def from_row(cls, row):
        return cls(row["name"], row["email"])


USERS = "CREATE TABLE users (name TEXT NOT NULL, email TEXT UNIQUE)"


def insert(connection, user):
    with connection:
        values = (user.name, user.email)
        return connection.execute("INSERT INTO users VALUES (?, ?)", values).rowcount


def find(connection, name):
    query = "SELECT * FROM users WHERE name = ?"
    row = connection.execute(query, (name,)).fetchone()
    return User.from_row(row) if row else None


def count(connection, condition):
    query = f"SELECT count(*) FROM users WHERE {condition}"
    return connection.execute(query).fetchone()[0]


def slow_query(_connection):
    """Stands for a query that takes 0.1 s. Returns the thread that it ran on."""
    time.sleep(0.1)
    return threading.get_ident()


def endless_query(connection):
    """Rows without end, each of which takes a moment."""
    numbers = """WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n FROM numbers)
                 SELECT n FROM numbers"""
    for _ in connection.execute(numbers):
        time.sleep(0.001)


def connect():
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    connection.execute(USERS)
    return connection


async def part(start, begin, title):
    """Begins a part of the demonstration so long after the start."""
    await asyncio.sleep(start + begin - asyncio.get_running_loop().time())
    print(title)


async def main():
    start = asyncio.get_running_loop().time()
    await part(start, 0.1, "In memory, opened anew for each statement:")

    def execute(statement):
        connection = sqlite3.connect(":memory:")
        try:
            connection.execute(statement)
        finally:
            connection.close()

    for statement in [USERS, "INSERT INTO users VALUES ('Alice', NULL)"]:
        try:
            await asyncio.to_thread(execute, statement)
            print("done")
        except sqlite3.Error as error:
            print(error)

    await part(start, 0.3, "In memory, opened once, on a thread of its own:")
    alice = User("Alice", "alice@example.com")
    database = await Database.open(connect)
    for user in [alice, User("Bob", None), alice]:
        try:
            rows = await database.call(insert, user)
            print(f"{user.name}: {rows} row")
        except sqlite3.IntegrityError as error:
            print(f"{user.name}: {error}")
    await part(start, 0.5, "Who is there:")
    for name in ["Alice", "Bob", "Carol"]:
        match await database.call(find, name):
            case User(email=email):
                print(f"{name}: {email or 'no address'}")
            case None:
                print(f"{name}: no such user")
    await part(start, 0.7, "A value that contains SQL:")
    name = "' OR '1' = '1"
    found = await database.call(count, f"name = '{name}'")
    print(f"{name} in the query's text finds {found}")
    found = await database.call(find, name)
    print(f"{name} as a parameter finds {1 if found else 0}")

    await part(start, 0.9, "Three slow calls at once, on the thread:")
    threads = await asyncio.gather(*(database.call(slow_query) for _ in range(3)))
    print(f"on {len(set(threads))} thread")

    await part(start, 1.4, "Three slow calls at once, with a lock:")
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    lock = threading.Lock()
    calls = (call_with_lock(lock, connection, slow_query) for _ in range(3))
    threads = await asyncio.gather(*calls)
    print(f"on {len(set(threads))} threads")
    connection.close()

    await part(start, 1.9, "A query without end is given up after 0.4 s:")

    async def endless():
        try:
            async with asyncio.timeout(0.4):
                print(await database.call(endless_query))
        except TimeoutError:
            print("gave the query up")

    async def in_line():
        await asyncio.sleep(0.1)
        try:
            async with asyncio.timeout(0.1):
                print(f"Carol: {await database.call(insert, User('Carol', None))}")
        except TimeoutError:
            print("gave Carol up, in line")

    async def behind():
        await asyncio.sleep(0.3)
        print("asks for the number of users")
        return await database.call(count, "TRUE")

    _, _, users = await asyncio.gather(endless(), in_line(), behind())
    print(f"{users} users")

    await part(start, 2.5, "Closed:")
    await database.close()
    try:
        await database.call(slow_query)
    except Closed as closed:
        print(closed)


asyncio.run(main())
