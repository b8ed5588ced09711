# /// script
# dependencies = ["aiomysql"]
# ///
import asyncio
import contextlib
import os
from urllib.parse import urlsplit

import aiomysql


class Database:
    """A pool whose users wait for a connection for a limited time."""

    def __init__(self, pool, acquire):
        self.pool, self.acquire = pool, acquire

    @contextlib.asynccontextmanager
    async def connection(self):
        async with asyncio.timeout(self.acquire):
            connection = await self.pool.acquire()
        try:
            yield connection
        finally:
            # Closes it if a transaction is open.
            self.pool.release(connection)


async def add_users(database, names):
    """Adds all users, or none."""
    async with database.connection() as connection, connection.cursor() as cursor:
        await connection.begin()
        sql = "INSERT INTO users (name) VALUES (%s)"
        await cursor.executemany(sql, [(name,) for name in names])
        await connection.commit()


async def find_users(database, prefix):
    sql = """SELECT id, name FROM users WHERE name LIKE CONCAT(%s, '%%')
             ORDER BY id LIMIT 100"""
    async with database.connection() as connection, connection.cursor() as cursor:
        await cursor.execute(sql, (prefix,))
        return await cursor.fetchall()


async def longest_name(database):
    """Returns the length of the longest name. One row at a time is in memory."""
    async with database.connection() as connection:
        async with connection.cursor(aiomysql.SSCursor) as cursor:
            await cursor.execute("SELECT name FROM users")
            return max([len(name) async for (name,) in cursor], default=0)


async def slow_query(database, seconds):
    try:
        async with database.connection() as connection, connection.cursor() as cursor:
            await cursor.execute("SELECT SLEEP(%s)", (seconds,))
        print(f"a query of {seconds} s: done")
    except TimeoutError:
        print(f"a query of {seconds} s: no connection within {database.acquire} s")
    except aiomysql.OperationalError as error:
        print(f"a query of {seconds} s: {error.args[1]}")


async def show(database):
    names = [name for _, name in await find_users(database, "")]
    print("users:", ", ".join(names))


async def demonstrate(options):
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def at(seconds):
        await asyncio.sleep(start + seconds - loop.time())

    async def add_eve():
        async with database.connection() as connection, connection.cursor() as cursor:
            await connection.begin()
            await cursor.execute("INSERT INTO users (name) VALUES ('Eve')")
            print("Eve is added")
            await asyncio.sleep(10)
            await connection.commit()

    limit = "SET max_statement_time = 0.5"
    # Without `autocommit` each SELECT begins a transaction.
    async with aiomysql.create_pool(
        minsize=0, maxsize=2, autocommit=True, init_command=limit, **options
    ) as pool:
        database = Database(pool, acquire=0.25)
        async with database.connection() as connection, connection.cursor() as cursor:
            await cursor.execute(
                """CREATE TABLE users (
                       id INT UNSIGNED PRIMARY KEY AUTO_INCREMENT, name TEXT NOT NULL)"""
            )
        await at(0.3)
        print("Two users are added:")
        await add_users(database, ["Ada", "Bartholomew"])
        await show(database)
        print(f"the longest name has {await longest_name(database)} letters")

        print("A transaction is cancelled before its end:")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await add_eve()
        await show(database)

        await at(0.6)
        print("Three queries, two connections:")
        await asyncio.gather(*(slow_query(database, 0.2) for _ in range(3)))

        await at(1.2)
        print("The third query waits for a connection for at most 0.25 s:")
        await asyncio.gather(*(slow_query(database, it) for it in (0.4, 0.4, 0.3)))

        await at(1.8)
        print("The server ends a query after 0.5 s:")
        await slow_query(database, 5)


async def main():
    url = urlsplit(os.environ["MYSQL_URL"])
    options = {"host": url.hostname, "port": url.port or 3306, "user": url.username}
    options["password"] = url.password or ""
    name = f"pool_python_{os.getpid()}"
    admin = await aiomysql.connect(**options)
    async with admin, admin.cursor() as cursor:
        await cursor.execute(f"CREATE DATABASE {name}")
        try:
            await demonstrate({**options, "db": name})
        finally:
            await cursor.execute(f"DROP DATABASE {name}")


asyncio.run(main())
