# /// script
# dependencies = ["aiomysql"]
# ///
import asyncio
import contextlib
import dataclasses
import os
import time
from urllib.parse import urlsplit

import aiomysql
from pymysql.err import OperationalError

ADD = "UPDATE accounts SET balance = balance + %s WHERE name = %s"
DEADLOCK, LOCK_TIMEOUT = 1213, 1205


@dataclasses.dataclass(frozen=True)
class Retry:
    attempts: int = 10
    initial_backoff: float = 0.05
    max_backoff: float = 1.0

    async def run(self, transact):
        """Runs it again if another transaction was in the way."""
        backoff = self.initial_backoff
        for attempt in range(self.attempts):
            try:
                return await transact()
            except OperationalError as error:
                is_conflict = error.args[0] in (DEADLOCK, LOCK_TIMEOUT)
                if not is_conflict or attempt + 1 == self.attempts:
                    raise
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, self.max_backoff)


class Bank:
    def __init__(self, url, name):
        url = urlsplit(url)
        self.options = {"host": url.hostname, "port": url.port, "user": url.username}
        self.options |= {"password": url.password or "", "db": name}

    @contextlib.asynccontextmanager
    async def connect(self):
        connection = await aiomysql.connect(autocommit=True, **self.options)
        try:
            async with connection.cursor() as cursor:
                await cursor.execute("SET innodb_lock_wait_timeout = 1")
                yield connection, cursor
        finally:
            # Also rolls back.
            connection.close()

    async def transfer(self, source, target, both=None):
        """Takes ten from one account and gives them to another. Returns the runs."""
        runs = 0

        async def transact():
            nonlocal runs
            runs += 1
            async with self.connect() as (connection, cursor):
                await connection.begin()
                await cursor.execute(ADD, (-10, source))
                if both and runs == 1:
                    await both()
                await cursor.execute(ADD, (10, target))
                await connection.commit()

        await Retry().run(transact)
        return runs


def both_are_there():
    """Returns a function that waits until it was called twice."""
    there, count = asyncio.Event(), 0

    async def wait():
        nonlocal count
        count += 1
        if count == 2:
            there.set()
        await there.wait()

    return wait


async def show(cursor):
    await cursor.execute("SELECT name, balance FROM accounts ORDER BY name")
    print(", ".join(f"{name} {balance}" for name, balance in await cursor.fetchall()))


async def main():
    start = time.monotonic()

    async def at(seconds):
        await asyncio.sleep(start + seconds - time.monotonic())

    name = f"transaction_{os.getpid()}"
    url = os.environ["MYSQL_URL"]
    bank, server = Bank(url, name), Bank(url, None)
    async with server.connect() as (_, admin):
        await admin.execute(f"CREATE DATABASE {name}")
        try:
            await demonstrate(bank, at)
        finally:
            await admin.execute(f"DROP DATABASE {name}")


async def demonstrate(bank, at):
    async with bank.connect() as (connection, cursor), bank.connect() as (locker, lock):
        table = "CREATE TABLE accounts (name VARCHAR(20) PRIMARY KEY, balance INT)"
        await cursor.execute(table)
        await cursor.execute("INSERT INTO accounts VALUES ('Ada', 100), ('Bob', 100)")

        await at(0.4)
        print("Two transfers lock two rows in different orders:")
        both = both_are_there()
        runs = await asyncio.gather(
            bank.transfer("Ada", "Bob", both), bank.transfer("Bob", "Ada", both)
        )
        await at(0.9)
        print(f"runs: {sum(runs)}")
        await show(cursor)

        print("A row is locked for longer than the limit of 1 s:")
        await locker.begin()
        await lock.execute(ADD, (0, "Bob"))
        waits = asyncio.create_task(bank.transfer("Ada", "Bob"))
        await asyncio.sleep(1.5)
        await locker.rollback()
        await waits
        await at(2.8)
        await show(cursor)

        print("A program commits after the lock timeout:")
        await locker.begin()
        await lock.execute(ADD, (0, "Bob"))
        await connection.begin()
        await cursor.execute(ADD, (-10, "Ada"))
        try:
            await cursor.execute(ADD, (10, "Bob"))
        except OperationalError as error:
            print(f"error {error.args[0]}")
        await connection.commit()
        await locker.rollback()
        await at(4.2)
        await show(cursor)


asyncio.run(main())
