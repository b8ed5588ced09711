import asyncio
import contextlib
import sqlite3
import tempfile
import threading
from pathlib import Path

TABLE = "CREATE TABLE readings (id INTEGER PRIMARY KEY, celsius REAL)"
STRICT = "CREATE TABLE strict (id INTEGER PRIMARY KEY ON CONFLICT ROLLBACK, celsius REAL)"
INSERT = "INSERT INTO readings VALUES (?, ?)"
INSERT_STRICT = "INSERT INTO strict VALUES (?, ?)"


@contextlib.contextmanager
def transaction(db):
    """Needs a connection with `isolation_level=None`, which begins none by itself."""
    db.execute("BEGIN IMMEDIATE")
    with db:
        yield


def insert_all(db, sql, rows):
    """Inserts all rows, or none if one fails."""
    with transaction(db):
        db.executemany(sql, rows)


def insert_each(db, sql, rows):
    """Inserts the rows that can be inserted, and returns the error of each."""

    def error_of(row):
        try:
            db.execute(sql, row)
        except sqlite3.Error as error:
            # Without a transaction each further row would be stored by itself.
            if not db.in_transaction:
                raise
            return error

    with transaction(db):
        return [error_of(row) for row in rows]


class Database:
    """A connection that is used on threads where it may block."""

    def __init__(self, path):
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._lock = threading.Lock()

    async def call(self, work, *args):
        def locked():
            with self._lock:
                return work(self._db, *args)

        return await asyncio.to_thread(locked)

    def close(self):
        # A call whose caller was cancelled may still run.
        with self._lock:
            self._db.close()


class BatchWriter:
    """Takes rows one by one, for a task that writes them in batches."""

    def __init__(self, database, sql, max_rows, max_wait):
        self._database = database
        self._sql = sql
        self._max_rows = max_rows
        self._max_wait = max_wait
        self._entries = asyncio.Queue(max_rows)

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls, database, sql, max_rows, max_wait):
        writer = cls(database, sql, max_rows, max_wait)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(writer._write_batches())
            yield writer
            await writer._entries.join()
            task.cancel()

    async def insert(self, row):
        """Returns when the row is stored."""
        stored = asyncio.get_running_loop().create_future()
        await self._entries.put((row, stored))
        await stored

    async def _write_batches(self):
        batch = []
        try:
            while True:
                batch = [await self._entries.get()]
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._max_wait):
                        while len(batch) < self._max_rows:
                            batch.append(await self._entries.get())
                await self._write(batch)
        finally:
            # No caller waits for a task that has ended.
            while not self._entries.empty():
                batch.append(self._entries.get_nowait())
            for _, stored in batch:
                stored.cancel()

    async def _write(self, batch):
        rows = [row for row, _ in batch]
        try:
            errors = await self._database.call(insert_each, self._sql, rows)
        except sqlite3.Error as error:
            errors = [error] * len(batch)
        for (_, stored), error in zip(batch, errors):
            self._entries.task_done()
            if stored.done():
                continue
            if error:
                stored.set_exception(error)
            else:
                stored.set_result(None)


class Transactions:
    """Prints how many transactions have changed the file since the last time."""

    def __init__(self, path):
        self._path = path
        self._before = self._now()

    def _now(self):
        # The file change counter: https://sqlite.org/fileformat.html
        return int.from_bytes(self._path.read_bytes()[24:28], "big")

    def print(self):
        now = self._now()
        print(f"{now - self._before} transactions")
        self._before = now


def rows(ids):
    return [(id, id / 2) for id in ids]


async def count(database, table):
    def count(db):
        return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]

    return await database.call(count)


def batched(rows, size):
    """As itertools.batched, which is there from Python 3.12 on."""
    for begin in range(0, len(rows), size):
        yield rows[begin : begin + size]


async def insert_one_by_one(database, sql, rows):
    """Inserts rows through a writer of batches, one each 0.1 s."""
    async with BatchWriter.start(database, sql, 4, 0.5) as writer:

        async def insert_later(delay, row):
            await asyncio.sleep(delay)
            try:
                await writer.insert(row)
                print(f"{row[0]} is stored")
            except sqlite3.IntegrityError as error:
                print(f"{row[0]}: {error}")

        async with asyncio.TaskGroup() as group:
            for number, row in enumerate(rows):
                group.create_task(insert_later(number / 10, row))


def set_up(db):
    # The demonstration does not wait for the disk; in this mode the file is counted up
    # with each transaction.
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA journal_mode = MEMORY")
    db.execute(TABLE)
    db.execute(STRICT)


async def use(database, path):
    await database.call(set_up)
    transactions = Transactions(path)

    print("Ten rows, one by one:")
    for row in rows(range(1, 11)):
        await database.call(lambda db: db.execute(INSERT, row))
    transactions.print()

    print("Ten rows, four at a time:")
    for batch in batched(rows(range(11, 21)), 4):
        await database.call(insert_all, INSERT, batch)
    transactions.print()

    print("Four rows, one of which is stored already:")
    try:
        await database.call(insert_all, INSERT, rows([21, 22, 7, 23]))
    except sqlite3.IntegrityError as error:
        print(error)
    print(f"{await count(database, 'readings')} rows")

    print("A row each 0.1 s, gathered up to four, or for 0.5 s:")
    await insert_one_by_one(database, INSERT, rows([21, 22, 7, 23, 24, 25]))
    transactions.print()
    print(f"{await count(database, 'readings')} rows")

    print("The third row ends the transaction of its batch:")
    await database.call(insert_all, INSERT_STRICT, rows([7]))
    await insert_one_by_one(database, INSERT_STRICT, rows([1, 2, 7, 3]))
    print(f"{await count(database, 'strict')} rows")


async def main():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "readings.db"
        database = Database(path)
        try:
            await use(database, path)
        finally:
            database.close()


asyncio.run(main())
