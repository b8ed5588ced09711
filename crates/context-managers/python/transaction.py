import asyncio
import sqlite3
from contextlib import asynccontextmanager, suppress


class NoAccount(Exception):
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
        # Otherwise an error is logged as "never retrieved".
        task.exception()
        raise


class Database:
    """A connection, in which there is one transaction at a time."""

    def __init__(self, connection):
        self._connection = connection
        self._lock = asyncio.Lock()

    async def execute(self, sql, parameters=()):
        work = asyncio.to_thread(self._connection.execute, sql, parameters)
        return await to_its_end(work)

    @asynccontextmanager
    async def transaction(self):
        async with self._lock:
            try:
                await self.execute("BEGIN IMMEDIATE")
                yield self
                await self.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    await self.execute("ROLLBACK")
                raise


async def add(database, owner, amount):
    cursor = await database.execute(
        "UPDATE accounts SET balance = balance + ? WHERE owner = ?", (amount, owner)
    )
    if cursor.rowcount == 0:
        raise NoAccount(f"{owner} has no account")


async def transfer(database, names, amount):
    """Pays in first, and withdraws only after the bank was asked."""
    giver, receiver = names
    async with database.transaction():
        await add(database, receiver, amount)
        await asyncio.sleep(0.1)
        assert amount != 13, "nobody has checked it"
        print(f"{amount} from {giver} to {receiver}: the bank agrees")
        await add(database, giver, -amount)


async def print_balances(database):
    async with database.transaction():
        rows = await database.execute(
            "SELECT owner, balance FROM accounts ORDER BY owner"
        )
        print(", ".join(f"{owner} has {balance}" for owner, balance in rows))


def open_database():
    connection = sqlite3.connect(
        ":memory:", isolation_level=None, check_same_thread=False
    )
    connection.executescript(
        """
        CREATE TABLE accounts (owner TEXT PRIMARY KEY, balance CHECK (balance >= 0));
        INSERT INTO accounts VALUES ('ann', 100), ('bob', 50);
        """
    )
    return Database(connection)


async def main():
    database = open_database()

    print("Committed:")
    await transfer(database, ["ann", "bob"], 30)
    await print_balances(database)

    print("Rolled back after an error, in SQLite and outside:")
    for names, amount in [(["ann", "bob"], 71), (["cat", "bob"], 1)]:
        try:
            await transfer(database, names, amount)
        except (sqlite3.IntegrityError, NoAccount) as error:
            print(error)
    await print_balances(database)

    print("Rolled back after a bug:")
    try:
        await transfer(database, ["ann", "bob"], 13)
    except AssertionError:
        print("ended by a bug")
    await print_balances(database)

    print("Rolled back as it is cancelled, while another waits for it:")
    first = asyncio.create_task(transfer(database, ["ann", "bob"], 20))

    async def transfer_later():
        await asyncio.sleep(0.025)
        await transfer(database, ["bob", "ann"], 5)

    second = asyncio.create_task(transfer_later())
    await asyncio.sleep(0.05)
    first.cancel()
    try:
        await first
    except asyncio.CancelledError:
        print("cancelled")
    await second
    await print_balances(database)

    print("Locked for each statement, and not for the transaction:")

    database = open_database()

    async def spend():
        await asyncio.sleep(0.05)
        await database.execute("UPDATE accounts SET balance = 0 WHERE owner = 'bob'")

    other = asyncio.create_task(spend())
    await database.execute("BEGIN")
    await database.execute("UPDATE accounts SET balance = 999")
    await asyncio.sleep(0.1)
    await other
    print("bob has spent all, in another task")
    await database.execute("ROLLBACK")
    print("rolled back, and with it what bob has spent")
    await print_balances(database)


asyncio.run(main())
