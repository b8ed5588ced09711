# /// script
# requires-python = ">=3.11"
# dependencies = ["aiosqlite"]
# ///
import asyncio
import contextlib
import dataclasses
import tempfile
import time
from pathlib import Path

import aiosqlite

TABLES = """
    CREATE TABLE IF NOT EXISTS jobs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        payload TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'waiting',
        attempt INTEGER NOT NULL DEFAULT 0,
        due INTEGER,
        error TEXT
    );
    CREATE INDEX IF NOT EXISTS jobs_due ON jobs (due, id) WHERE due IS NOT NULL;"""

# A worker whose lease ran out in the last attempt may have been killed by the job.
BURY = """
    UPDATE jobs SET state = 'dead', due = NULL, error = 'the lease ran out'
    WHERE due <= ?1 AND state = 'running' AND attempt >= ?2"""

CLAIM = """
    UPDATE jobs SET state = 'running', attempt = attempt + 1, due = ?2
    WHERE id = (SELECT id FROM jobs WHERE due <= ?1 ORDER BY due, id LIMIT 1)
    RETURNING id, payload, attempt"""

# Changes one row, or none if the job was claimed again meanwhile.
CHANGE = """
    UPDATE jobs SET state = ?3, due = ?4, error = ?5
    WHERE id = ?1 AND attempt = ?2 AND state = 'running'"""


@dataclasses.dataclass(frozen=True)
class Settings:
    lease: float
    attempts: int
    backoff: float
    poll: float
    pragmas: str


@dataclasses.dataclass(frozen=True)
class Job:
    id: int
    payload: str
    attempt: int


class LeaseLost(Exception):
    pass


class JobQueue:
    def __init__(self, connection, settings):
        self._connection = connection
        self._settings = settings
        # Tasks that share a connection share its transaction.
        self._turn = asyncio.Lock()
        self._changed = asyncio.Condition()
        self._changes = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, path, settings):
        async with aiosqlite.connect(path, isolation_level=None) as connection:
            await connection.execute("PRAGMA journal_mode = WAL")
            await connection.executescript(settings.pragmas)
            await connection.executescript(TABLES)
            yield cls(connection, settings)

    @contextlib.asynccontextmanager
    async def _transact(self):
        """A transaction, which is rolled back if the body raises."""
        async with self._turn:
            try:
                await self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                await self._connection.commit()
            except BaseException:
                await asyncio.shield(self._connection.rollback())
                raise

    async def _notify(self):
        async with self._changed:
            self._changes += 1
            self._changed.notify_all()

    async def enqueue(self, payload):
        async with self._transact() as connection:
            add = "INSERT INTO jobs (payload, due) VALUES (?, ?)"
            cursor = await connection.execute(add, (payload, in_future(0)))
        await self._notify()
        return cursor.lastrowid

    async def claim(self):
        """The job that is due first; or nothing, and for how long."""
        settings = self._settings
        async with self._transact() as connection:
            now, lease = in_future(0), in_future(settings.lease)
            await connection.execute(BURY, (now, settings.attempts))
            claimed = await connection.execute_fetchall(CLAIM, (now, lease))
            for row in claimed:
                return Job(*row), None
            query = "SELECT min(due) FROM jobs WHERE due IS NOT NULL"
            [[due]] = await connection.execute_fetchall(query)
        # A lease that begins after this look does not end within this time.
        most = min(settings.poll, settings.lease)
        if due is None:
            return None, most
        return None, min(max(due - now, 0) / 1_000_000, most)

    async def extend(self, job):
        async with self._transact() as connection:
            lease = in_future(self._settings.lease)
            await change(connection, job, "running", lease, None)

    async def complete(self, job, effect):
        """Both are there then, completion and effect, or neither."""
        async with self._transact() as connection:
            await change(connection, job, "done", None, None)
            await effect(connection)

    async def fail(self, job, error):
        settings = self._settings
        state, due = "dead", None
        if job.attempt < settings.attempts:
            pause = settings.backoff * 2 ** (job.attempt - 1)
            state, due = "waiting", in_future(pause)
        async with self._transact() as connection:
            await change(connection, job, state, due, str(error))
        # A worker that sleeps does not know yet when this job is due.
        await self._notify()

    async def counts(self):
        query = "SELECT state, count(*) FROM jobs GROUP BY state ORDER BY state"
        async with self._transact() as connection:
            return await connection.execute_fetchall(query)

    async def dead_letters(self):
        query = "SELECT id, payload, attempt, error FROM jobs WHERE state = 'dead'"
        async with self._transact() as connection:
            rows = await connection.execute_fetchall(query)
        return [(Job(*row[:3]), row[3]) for row in rows]

    async def work(self, stop, handler):
        while not stop.is_set():
            # Before it looks: what is added after that wakes it.
            seen = self._changes
            job, pause = await self.claim()
            if job is None:
                await self._idle(seen, stop, pause)
                continue
            # Otherwise another has the job now.
            with contextlib.suppress(LeaseLost):
                await self._attend(job, asyncio.create_task(handler(job)))

    async def _idle(self, seen, stop, pause):
        async def added():
            async with self._changed:
                await self._changed.wait_for(lambda: self._changes != seen)

        waits = [asyncio.create_task(added()), asyncio.create_task(stop.wait())]
        try:
            await asyncio.wait(
                waits, timeout=pause, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for wait in waits:
                wait.cancel()

    async def _attend(self, job, task):
        """Extends the lease until the task has ended."""
        try:
            while not task.done():
                await asyncio.wait([task], timeout=self._settings.lease / 3)
                if not task.done():
                    await self.extend(job)
            try:
                await self.complete(job, task.result())
            except LeaseLost:
                raise
            except Exception as error:
                await self.fail(job, error)
        finally:
            task.cancel()


def in_future(pause):
    """Microseconds since 1970."""
    return time.time_ns() // 1000 + int(pause * 1_000_000)


async def change(connection, job, state, due, error):
    cursor = await connection.execute(CHANGE, (job.id, job.attempt, state, due, error))
    if cursor.rowcount == 0:
        raise LeaseLost("the lease was lost")


def count_letters(job):
    """What a job does to the database."""

    async def effect(connection):
        insert = "INSERT INTO letters VALUES (?, length(?))"
        await connection.execute(insert, (job.id, job.payload))

    return effect


async def handle(job):
    """Fails as often as the payload says; then takes as long as a lease, or longer."""
    print(f"job {job.id}, attempt {job.attempt}: begun, {job.payload}")
    fails = {"flaky": 2, "broken": float("inf")}.get(job.payload, 0)
    if job.attempt <= fails:
        print(f"job {job.id}, attempt {job.attempt}: fails")
        raise RuntimeError("scheduled")
    await asyncio.sleep(0.7 if job.payload == "long" else 0.3)
    print(f"job {job.id}, attempt {job.attempt}: ends")
    return count_letters(job)


async def show(queue):
    """The jobs in each state, and what is recorded."""
    counts = ", ".join(f"{count} {state}" for state, count in await queue.counts())
    async with queue._transact() as connection:
        query = "SELECT count(*) FROM letters"
        [[recorded]] = await connection.execute_fetchall(query)
    print(f"{counts}; {recorded} recorded")


async def demonstrate(folder):
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def at(seconds):
        await asyncio.sleep(start + seconds - loop.time())

    async def part(seconds, title):
        await at(seconds)
        print(title)

    settings = Settings(
        lease=0.3,
        attempts=3,
        backoff=0.1,
        poll=60,
        pragmas="""PRAGMA synchronous = NORMAL;
            CREATE TABLE IF NOT EXISTS letters (job INTEGER, letters INTEGER)""",
    )
    async with JobQueue.open(folder / "jobs.db", settings) as queue:
        await part(0.1, "A worker claims a job, and hangs:")
        await queue.enqueue("hello")
        job, _ = await queue.claim()
        print(f"job {job.id}, attempt {job.attempt}: claimed")
        print("Two workers start, and wait for the end of its lease:")
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as workers:
            for _ in range(2):
                workers.create_task(queue.work(stop, handle))
            await at(0.9)
            print("The one that hung comes back:")
            try:
                await queue.complete(job, count_letters(job))
            except LeaseLost as error:
                print(f"job {job.id}, attempt {job.attempt}: {error}")
            await show(queue)

            await part(1.1, "A job that is longer than its lease:")
            await queue.enqueue("long")

            await part(2.1, "The workers are woken when a job is added:")
            for seconds in [2.1, 2.2, 2.3]:
                await at(seconds)
                print("adds a job")
                await queue.enqueue("short")

            await part(3, "One fails twice:")
            await queue.enqueue("flaky")
            await part(3.9, "One fails always:")
            await queue.enqueue("broken")
            await at(4.4)
            for dead, error in await queue.dead_letters():
                print(f"dead: job {dead.id}, {dead.payload}: {error}")

            await part(4.6, "Stopped, while two of three run:")
            for seconds in [4.6, 4.7, 4.8]:
                await at(seconds)
                print("adds a job")
                await queue.enqueue("short")
            stop.set()
        print("the workers have ended")
        await show(queue)


async def main():
    with tempfile.TemporaryDirectory() as folder:
        await demonstrate(Path(folder))


asyncio.run(main())
