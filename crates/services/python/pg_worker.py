# /// script
# requires-python = ">=3.11"
# dependencies = ["asyncpg"]
# ///
import asyncio
import contextlib
import dataclasses
import os
import time
from datetime import timedelta

import asyncpg

SCHEMA = """
    CREATE TABLE jobs (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        payload TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'waiting',
        attempt INT NOT NULL DEFAULT 0,
        due TIMESTAMPTZ,
        error TEXT
    );
    CREATE INDEX jobs_due ON jobs (due, id) WHERE due IS NOT NULL;
    CREATE TABLE naps (job BIGINT, ms INT);
"""
# A worker hears of the job when the transaction is committed.
ENQUEUE = """
    WITH added AS (
        INSERT INTO jobs (payload, due) VALUES ($1, statement_timestamp()) RETURNING id
    )
    SELECT id, pg_notify('jobs', '')::TEXT FROM added
"""
CLAIM = """
    WITH next AS (
        SELECT id, state = 'running' AND attempt >= $2 AS is_dead FROM jobs
        WHERE due <= statement_timestamp()
        ORDER BY due, id LIMIT 1
        FOR UPDATE SKIP LOCKED
    )
    UPDATE jobs SET
        state = CASE WHEN is_dead THEN 'dead' ELSE 'running' END,
        attempt = CASE WHEN is_dead THEN attempt ELSE attempt + 1 END,
        error = CASE WHEN is_dead THEN 'the lease expired' ELSE error END,
        due = CASE WHEN is_dead THEN NULL ELSE statement_timestamp() + $1::INTERVAL END
    FROM next WHERE jobs.id = next.id
    RETURNING jobs.id, payload, attempt, is_dead
"""
CHANGE = """
    UPDATE jobs SET state = $3, error = $5, due = statement_timestamp() + $4::INTERVAL
    WHERE id = $1 AND attempt = $2 AND state = 'running'
"""
LAG = """
    SELECT extract(EPOCH FROM statement_timestamp() - min(due))::FLOAT8 FROM jobs
    WHERE due <= statement_timestamp() AND state = 'waiting'
"""


class LeaseLost(Exception):
    pass


@dataclasses.dataclass
class Worker:
    pool: asyncpg.Pool
    handler: object
    concurrency: int
    lease: float
    max_runtime: float
    max_attempts: int
    backoff: float
    poll: float
    stopping: bool = False

    def __post_init__(self):
        self._wake = asyncio.Event()

    async def run(self):
        listening = asyncio.create_task(self._listen())
        try:
            async with asyncio.TaskGroup() as slots:
                for _ in range(self.concurrency):
                    slots.create_task(self._slot())
        finally:
            listening.cancel()

    async def _listen(self):
        while True:
            try:
                await self._session()
            except Exception as error:
                self.handler.report(error)
            # Until then the worker polls.
            await asyncio.sleep(self.poll)

    async def _session(self):
        """Listens on one connection until it is lost, or silent."""
        async with self.pool.acquire(timeout=self.lease) as listener:
            try:
                await listener.add_listener("jobs", lambda *_: self._wake.set())
                while True:
                    await asyncio.sleep(self.poll)
                    await listener.execute("SELECT 1", timeout=self.lease)
            finally:
                # If the connection was lost, the pool has it back.
                with contextlib.suppress(asyncpg.InterfaceError):
                    listener.terminate()

    def stop(self):
        self.stopping = True
        self._wake.set()

    async def lag(self):
        return await self.pool.fetchval(LAG) or 0

    async def _slot(self):
        while not self.stopping:
            self._wake.clear()
            try:
                if job := await self._claim():
                    # More jobs may be due, and this slot is busy now.
                    self._wake.set()
                    await self._attend(job)
                    continue
            except Exception as error:
                self.handler.report(error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self.poll)

    async def _claim(self):
        lease = timedelta(seconds=self.lease)
        while job := await self.pool.fetchrow(CLAIM, lease, self.max_attempts):
            if not job["is_dead"]:
                return job

    async def _attend(self, job):
        limited = asyncio.wait_for(self.handler.work(job), self.max_runtime)
        task = asyncio.create_task(limited)
        try:
            while not (await asyncio.wait([task], timeout=self.lease / 3))[0]:
                await self._set(self.pool, job, "running", self.lease, None)
            async with self.pool.acquire() as db, db.transaction():
                output = task.result()
                await self._set(db, job, "done", None, None)
                await self.handler.store(db, job, output)
        except LeaseLost:
            raise
        except Exception as error:
            if job["attempt"] < self.max_attempts:
                await self._set(self.pool, job, "waiting", self.backoff, str(error))
            else:
                await self._set(self.pool, job, "dead", None, str(error))
            raise
        finally:
            task.cancel()

    async def _set(self, db, job, state, due, error):
        due = None if due is None else timedelta(seconds=due)
        status = await db.execute(CHANGE, job["id"], job["attempt"], state, due, error)
        if status == "UPDATE 0":
            raise LeaseLost("the lease was lost")


class Sleeps:
    """Sleeps for as many milliseconds as the payload says."""

    running = most = 0

    async def work(self, job):
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if not job["payload"].isdigit():
                raise ValueError("no number")
            await asyncio.sleep(int(job["payload"]) / 1000)
            return int(job["payload"])
        finally:
            self.running -= 1

    async def store(self, db, job, output):
        await db.execute("INSERT INTO naps VALUES ($1, $2)", job["id"], output)

    def report(self, error):
        print(f"reported: {error}")


async def show(db):
    sql = "SELECT count(*), state FROM jobs GROUP BY state ORDER BY state"
    rows = await db.fetch(sql)
    states = ", ".join(f"{count} {state}" for count, state in rows)
    print(f"{states}; {await db.fetchval('SELECT count(*) FROM naps')} stored")


async def main():
    start = time.monotonic()

    async def at(seconds):
        await asyncio.sleep(start + seconds - time.monotonic())

    url, name = os.environ["DATABASE_URL"], f"worker_{os.getpid()}"
    settings = {"search_path": name}
    async with asyncpg.create_pool(url, server_settings=settings, min_size=5) as pool:
        await pool.execute(f"CREATE SCHEMA {name}")
        try:
            await pool.execute(SCHEMA)
            await demonstrate(pool, at)
        finally:
            await pool.execute(f"DROP SCHEMA {name} CASCADE")


async def demonstrate(pool, at):
    # Without LISTEN, nothing would happen within a minute.
    worker = Worker(
        pool,
        Sleeps(),
        concurrency=2,
        lease=0.6,
        max_runtime=30,
        max_attempts=1,
        backoff=0,
        poll=60,
    )
    running = asyncio.create_task(worker.run())

    await at(0.5)
    print("Four jobs of 0.3 s:")
    for _ in range(4):
        await pool.fetchval(ENQUEUE, "300")
    await at(1.3)
    print(f"at the same time: {worker.handler.most}")
    await show(pool)

    print("A job of 1 s, with a lease of 0.6 s, and one that fails:")
    await pool.fetchval(ENQUEUE, "1000")
    await pool.fetchval(ENQUEUE, "many")
    await at(1.5)
    await show(pool)
    await at(2.5)
    await show(pool)

    print("A stop, with a job that runs:")
    await pool.fetchval(ENQUEUE, "500")
    await at(2.7)
    worker.stop()
    await running
    print("stopped")
    await pool.fetchval(ENQUEUE, "300")
    await at(3.35)
    await show(pool)
    waits = int(await worker.lag() * 10) * 100
    print(f"the last one has been waiting for {waits} ms")


asyncio.run(main())
