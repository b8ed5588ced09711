import asyncio
import sqlite3
import tempfile
from contextlib import closing, contextmanager, suppress
from pathlib import Path


@contextmanager
def nested(db):
    """A part of a transaction: if it fails, only this part is undone."""
    db.execute("SAVEPOINT part")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK TO part")
        raise
    finally:
        db.execute("RELEASE part")


@contextmanager
def begun(db):
    """A transaction that has begun: commits if the block succeeds, else rolls back."""
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


async def to_its_end(work):
    """A cancel waits until it is done: a thread that has begun cannot be stopped."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        task.exception()
        raise


class Database:
    """A connection, in which there is one transaction at a time."""

    def __init__(self, file, attempts, delay):
        self._connection = sqlite3.connect(
            file, timeout=0, isolation_level=None, check_same_thread=False
        )
        self._connection.execute("PRAGMA synchronous = OFF")
        self._lock = asyncio.Lock()
        self._attempts, self._delay = attempts, delay

    def close(self):
        self._connection.close()

    def _begin_and_commit(self, work, arguments):
        self._connection.execute("BEGIN IMMEDIATE")
        with begun(self._connection):
            return work(self._connection, *arguments)

    async def transaction(self, work, *arguments):
        for attempt in range(1, self._attempts + 1):
            try:
                async with self._lock:
                    return await to_its_end(
                        asyncio.to_thread(self._begin_and_commit, work, arguments)
                    )
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode == sqlite3.SQLITE_BUSY
                if not busy or attempt == self._attempts:
                    raise
            await asyncio.sleep(self._delay)


class Refused(Exception):
    pass


def book(db, customer, item, number):
    """Books an item in two statements. The second one may fail."""
    db.execute("INSERT INTO booked VALUES (?, ?, ?)", (customer, item, number))
    sql = "UPDATE stock SET number = number - ? WHERE item = ?"
    db.execute(sql, (number, item))


def book_what_is_there(db, customer, items):
    booked = 0
    for item, number in items.items():
        try:
            with nested(db):
                book(db, customer, item, number)
            booked += 1
        except sqlite3.IntegrityError:
            print(f"{customer}: not enough {item}")
    if booked == 0:
        raise Refused(f"{customer}: nothing is there")


def book_all(db, customer, items):
    for item, number in items.items():
        try:
            # Within its order, each item is a part as well.
            with nested(db):
                book(db, customer, item, number)
        except sqlite3.IntegrityError:
            raise Refused(f"{customer}: not enough {item}") from None


def book_orders(db, orders):
    for customer, items in orders.items():
        try:
            with nested(db):
                book_all(db, customer, items)
            print(f"{customer}: booked")
        except Refused as error:
            print(error)


def read_stock(db):
    rows = db.execute("SELECT item, number FROM stock ORDER BY item").fetchall()
    (booked,) = db.execute("SELECT count(*) FROM booked").fetchone()
    stock = ", ".join(f"{item} {number}" for item, number in rows)
    return f"Stock: {stock}; booked: {booked}"


async def print_stock(database):
    print(await database.transaction(read_stock))


async def show(file):
    with (
        closing(Database(file, 10, 0.1)) as database,
        closing(Database(file, 2, 0.1)) as impatient,
        closing(Database(file, 2, 1)) as patient,
        closing(sqlite3.connect(file, isolation_level=None)) as other,
    ):
        other.executescript(
            """
            PRAGMA synchronous = OFF;
            CREATE TABLE stock (item TEXT PRIMARY KEY, number CHECK (number >= 0));
            CREATE TABLE booked (customer, item, number);
            INSERT INTO stock VALUES ('cup', 5), ('jam', 3), ('tea', 9);
            """
        )
        print("A part that fails is undone, the others stay:")
        items = {"tea": 2, "jam": 8, "cup": 1}
        await database.transaction(book_what_is_there, "ada", items)
        await print_stock(database)

        print("Parts of a part are undone with it:")
        orders = {"ben": {"tea": 1, "jam": 9}, "cleo": {"jam": 1}}
        await database.transaction(book_orders, orders)
        await print_stock(database)

        print("If the whole fails, all of it is undone:")
        try:
            items = {"jam": 7, "cup": 6}
            await database.transaction(book_what_is_there, "dan", items)
        except Refused as error:
            print(error)
        await print_stock(database)

        print("Another program writes, and commits after 0.6 s:")
        other.execute("BEGIN IMMEDIATE")
        try:
            await impatient.transaction(book_all, "eve", {"tea": 1})
        except sqlite3.OperationalError as error:
            print(f"A second attempt after 0.1 s: {error}")

        async def commit():
            await asyncio.sleep(0.5)
            other.execute("COMMIT")

        await asyncio.gather(
            patient.transaction(book_all, "eve", {"tea": 1}), commit()
        )
        print("A second attempt after 1 s: booked")
        await print_stock(database)


async def main():
    with tempfile.TemporaryDirectory() as folder:
        await show(Path(folder) / "shop.db")


asyncio.run(main())
