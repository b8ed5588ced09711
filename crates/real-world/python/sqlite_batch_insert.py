import asyncio
import sqlite3
import tempfile
import threading
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass
from pathlib import Path


@dataclass
class Reading:
    id: int
    celsius: float


TABLE = "CREATE TABLE readings (id INTEGER PRIMARY KEY, celsius REAL)"
INSERT = "INSERT INTO readings VALUES (?, ?)"


def insert(connection, row):
    with connection:
        connection.execute(INSERT, astuple(row))


def insert_all(connection, rows):
    """Inserts all rows, or none if one fails."""
    with connection:
        connection.executemany(INSERT, map(astuple, rows))


def insert_each(connection, rows):
    """Inserts those rows that can be, with the error of each."""

    def error_of(row):
        try:
            connection.execute(INSERT, astuple(row))
        except sqlite3.Error as error:
            return error

    with connection:
        return [error_of(row) for row in rows]


class Database:
    """A connection that is used on threads where it may block."""

    def __init__(self, path):
        self.connection = sqlite3.connect(path, check_same_thread=False)
        self._lock = threading.Lock()
        self.trips = 0

    async def call(self, work, *args):
        self.trips += 1

        def locked():
            with self._lock:
                return work(self.connection, *args)

        return await asyncio.to_thread(locked)


class BatchWriter:
    """Takes rows one by one, for a task that writes them in batches."""

    def __init__(self, database, most, wait):
        self._database = database
        self._most = most
        self._wait = wait
        self._line = asyncio.Queue(most)

    @classmethod
    @asynccontextmanager
    async def start(cls, database, most, wait):
        writer = cls(database, most, wait)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(writer._write_batches())
            yield writer
            await writer._line.join()
            task.cancel()

    async def insert(self, row):
        """Returns when the row is in the database."""
        written = asyncio.get_running_loop().create_future()
        await self._line.put((row, written))
        await written

    async def _write_batches(self):
        loop = asyncio.get_running_loop()
        while True:
            batch = [await self._line.get()]
            deadline = loop.time() + self._wait
            try:
                async with asyncio.timeout_at(deadline):
                    while len(batch) < self._most:
                        batch.append(await self._line.get())
            except TimeoutError:
                pass
            await self._write(batch)

    async def _write(self, batch):
        rows = [row for row, _ in batch]
        try:
            errors = await self._database.call(insert_each, rows)
        except sqlite3.Error as error:
            errors = [error] * len(batch)
        for (_, written), error in zip(batch, errors):
            self._line.task_done()
            if written.done():
                continue
            if error:
                written.set_exception(error)
            else:
                written.set_result(None)


class Counts:
    """What the demonstration counts."""

    def __init__(self, database, path):
        self._database = database
        self._path = path
        self._before = self._now()

    def _now(self):
        # The file change counter: https://sqlite.org/fileformat.html
        transactions = self._path.read_bytes()[24:28]
        return self._database.trips, int.from_bytes(transactions, "big")

    def print(self):
        trips, transactions = (
            now - before for now, before in zip(self._now(), self._before)
        )
        print(f"{trips} trips, {transactions} transactions")


def readings(ids):
    return [Reading(id, id / 2) for id in ids]


async def count(database):
    def count(connection):
        return connection.execute("SELECT count(*) FROM readings").fetchone()[0]

    return await database.call(count)


def batched(rows, size):
    """As itertools.batched, which is there from Python 3.12 on."""
    for begin in range(0, len(rows), size):
        yield rows[begin : begin + size]


async def main():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "readings.db"
        database = Database(path)
        try:
            await use(database, path)
        finally:
            database.connection.close()


async def use(database, path):
    database.connection.execute("PRAGMA synchronous = OFF")
    database.connection.execute("PRAGMA journal_mode = MEMORY")
    database.connection.execute(TABLE)

    print("Ten rows, one by one:")
    counts = Counts(database, path)
    for row in readings(range(1, 11)):
        await database.call(insert, row)
    counts.print()

    print("Ten rows, four at a time:")
    counts = Counts(database, path)
    for batch in batched(readings(range(11, 21)), 4):
        await database.call(insert_all, batch)
    counts.print()

    print("Four rows, one of which is there already:")
    try:
        await database.call(insert_all, readings([21, 22, 7, 23]))
    except sqlite3.IntegrityError as error:
        print(error)
    print(f"{await count(database)} rows")

    print("A row each 0.1 s, gathered up to four, or for 0.5 s:")
    counts = Counts(database, path)
    async with BatchWriter.start(database, 4, 0.5) as writer:

        async def insert_later(delay, row):
            await asyncio.sleep(delay)
            try:
                await writer.insert(row)
                print(f"{row.id} is there")
            except sqlite3.IntegrityError as error:
                print(f"{row.id}: {error}")

        rows = readings([21, 22, 7, 23, 24, 25])
        inserts = (insert_later(number / 10, row) for number, row in enumerate(rows))
        await asyncio.gather(*inserts)
    counts.print()
    print(f"{await count(database)} rows")


asyncio.run(main())
