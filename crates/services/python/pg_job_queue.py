# /// script
# dependencies = ["asyncpg"]
# ///
import asyncio
import dataclasses
import os
import time
from datetime import timedelta

import asyncpg

SCHEMA = """
    SELECT pg_advisory_xact_lock(1246908244);
    CREATE TABLE IF NOT EXISTS jobs (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        payload TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'waiting',
        attempt INT NOT NULL DEFAULT 0,
        due TIMESTAMPTZ,
        error TEXT
    );
    CREATE INDEX IF NOT EXISTS jobs_due ON jobs (due, id) WHERE due IS NOT NULL;
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
    WHERE id = $1 AND attempt = $2 AND state IN ('running', 'dead')
"""


class LeaseLost(Exception):
    pass


@dataclasses.dataclass(frozen=True)
class JobQueue:
    lease: timedelta
    max_attempts: int
    initial_backoff: timedelta
    max_backoff: timedelta

    async def enqueue(self, db, payload):
        sql = """INSERT INTO jobs (payload, due) VALUES ($1, statement_timestamp())
                 RETURNING id"""
        return await db.fetchval(sql, payload)

    async def claim(self, db):
        while job := await db.fetchrow(CLAIM, self.lease, self.max_attempts):
            if not job["is_dead"]:
                return job

    async def extend(self, db, job):
        await self._change(db, job, "running", self.lease, None)

    async def complete(self, db, job):
        await self._change(db, job, "done", None, None)

    async def fail(self, db, job, error):
        if job["attempt"] >= self.max_attempts:
            await self._change(db, job, "dead", None, error)
        else:
            backoff = self.initial_backoff * 2 ** (job["attempt"] - 1)
            backoff = min(backoff, self.max_backoff)
            await self._change(db, job, "waiting", backoff, error)

    async def dead_letters(self, db):
        sql = """SELECT id, payload, attempt, error FROM jobs WHERE state = 'dead'
                 ORDER BY id LIMIT 100"""
        return await db.fetch(sql)

    async def _change(self, db, job, state, due, error):
        status = await db.execute(CHANGE, job["id"], job["attempt"], state, due, error)
        if status == "UPDATE 0":
            raise LeaseLost("the lease was lost")


JOBS = JobQueue(
    lease=timedelta(milliseconds=300),
    max_attempts=2,
    initial_backoff=timedelta(milliseconds=100),
    max_backoff=timedelta(seconds=1),
)
NAME = f"job_queue_{os.getpid()}"


async def connect():
    """Connects to a schema that only this process uses."""
    settings = {"search_path": NAME}
    return await asyncpg.connect(os.environ["DATABASE_URL"], server_settings=settings)


async def claim(db):
    job = await JOBS.claim(db)
    if job is None:
        print("no job is due")
    else:
        print(f"job {job['id']}, attempt {job['attempt']}: claimed")
    return job


async def complete(db, job):
    """Completes the job, and writes its effect in the same transaction."""
    async with db.transaction():
        await JOBS.complete(db, job)
        await db.execute("INSERT INTO invoices VALUES ($1)", job["payload"])


async def work():
    """Completes jobs until none is due. Each takes 0.1 s."""
    db = await connect()
    done = 0
    while job := await JOBS.claim(db):
        await asyncio.sleep(0.05)
        await JOBS.extend(db, job)
        await asyncio.sleep(0.05)
        await complete(db, job)
        done += 1
    await db.close()
    return done


async def killed():
    db = await connect()
    try:
        await claim(db)
        await asyncio.Event().wait()
    finally:
        db.terminate()


async def main():
    start = time.monotonic()

    async def at(seconds):
        await asyncio.sleep(start + seconds - time.monotonic())

    db = await connect()
    await db.execute(f"CREATE SCHEMA {NAME}; CREATE TABLE {NAME}.invoices (item TEXT)")
    try:
        await db.execute(SCHEMA)
        await show(db, at)
    finally:
        await db.execute(f"DROP SCHEMA {NAME} CASCADE")
        await db.close()


async def show(db, at):
    await at(0.4)
    print("Three workers share nine jobs of 0.1 s:")
    for number in range(1, 10):
        await JOBS.enqueue(db, f"item {number}")
    print(f"jobs done: {sum(await asyncio.gather(*(work() for _ in range(3))))}")
    row = await db.fetchrow("SELECT count(*), count(DISTINCT item) FROM invoices")
    print(f"invoices: {row[0]}, of {row[1]} items")

    await at(1.2)
    print("A worker is killed; its lease is 0.3 s:")
    await JOBS.enqueue(db, "tea")
    worker = asyncio.create_task(killed())
    await at(1.4)
    worker.cancel()
    await claim(db)
    await at(1.6)
    job = await claim(db)
    await complete(db, job)
    print(f"job {job['id']}, attempt {job['attempt']}: completed")

    await at(1.8)
    print("A worker is slower than its lease:")
    await JOBS.enqueue(db, "cake")
    slow = await claim(db)
    await at(2.2)
    for job in [slow, await claim(db)]:
        try:
            await complete(db, job)
            print(f"job {job['id']}, attempt {job['attempt']}: completed")
        except LeaseLost as error:
            print(f"job {job['id']}, attempt {job['attempt']}: {error}")

    await at(2.4)
    print("A job fails twice; the backoff is 0.1 s:")
    await JOBS.enqueue(db, "jam")
    for wait in [2.6, 2.7]:
        job = await claim(db)
        await JOBS.fail(db, job, "no printer")
        await claim(db)
        await at(wait)
    for letter in await JOBS.dead_letters(db):
        print(f"dead: job {letter['id']}, {letter['payload']}: {letter['error']}")


asyncio.run(main())
