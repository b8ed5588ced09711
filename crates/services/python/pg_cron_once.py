# /// script
# dependencies = ["asyncpg"]
# ///
import asyncio
import contextlib
import dataclasses
import datetime
import os
import time

import asyncpg

SCHEMA = """
    CREATE TABLE cron_runs (
        name TEXT,
        tick TIMESTAMPTZ,
        attempt INT NOT NULL,
        lease_until TIMESTAMPTZ NOT NULL,
        is_done BOOLEAN NOT NULL DEFAULT FALSE,
        PRIMARY KEY (name, tick)
    );
    CREATE TABLE reports (name TEXT, tick TIMESTAMPTZ);
"""
# Of machines that come at the same time, one inserts the row, or changes it after
# the lease.
TURN = """
    WITH now AS (
        SELECT statement_timestamp() AS now, $2::INTERVAL AS interval,
            date_bin($2, statement_timestamp(), $3) AS tick,
            statement_timestamp() + $4::INTERVAL AS lease_until
    ), claimed AS (
        INSERT INTO cron_runs AS run (name, tick, attempt, lease_until)
        SELECT $1, tick, 1, lease_until FROM now WHERE tick >= $3
        ON CONFLICT (name, tick) DO UPDATE
        SET attempt = run.attempt + 1, lease_until = excluded.lease_until
        WHERE NOT run.is_done AND run.attempt < $5
            AND run.lease_until <= statement_timestamp()
        RETURNING attempt
    ), ends AS (
        SELECT CASE WHEN is_done OR attempt >= $5 THEN 'infinity' ELSE run.lease_until END
        FROM cron_runs AS run, now WHERE name = $1 AND run.tick = now.tick
    )
    SELECT tick, (SELECT attempt FROM claimed), extract(EPOCH FROM least(
        tick + interval, coalesce((TABLE ends), lease_until)) - now)::FLOAT8 AS wait
    FROM now
"""
FINISH = """
    UPDATE cron_runs SET is_done = TRUE
    WHERE name = $1 AND tick = $2 AND attempt = $3 AND NOT is_done
    RETURNING set_config('idle_in_transaction_session_timeout', $4, TRUE)
"""


class LeaseLost(Exception):
    pass


@dataclasses.dataclass
class Schedule:
    name: str
    first: datetime.datetime
    interval: datetime.timedelta
    lease: datetime.timedelta
    max_attempts: int

    async def turn(self, db):
        """Returns the tick and the attempt if it has its turn, or how long to wait."""
        times = self.interval, self.first, self.lease
        async with asyncio.timeout(self.lease.total_seconds()):
            row = await db.fetchrow(TURN, self.name, *times, self.max_attempts)
        if row["attempt"] is None:
            return None, max(row["wait"], 0)
        return (row["tick"], row["attempt"]), 0

    async def finish(self, db, run):
        """Call it in the transaction that writes the result."""
        limit = str(round(self.lease.total_seconds() * 1000))
        if not await db.fetch(FINISH, self.name, *run, limit):
            raise LeaseLost("the lease was lost")


def soon(name, lease):
    """A schedule whose first tick comes soon, and the next in an hour."""
    first = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=0.1)
    hour = datetime.timedelta(hours=1)
    return Schedule(name, first, hour, datetime.timedelta(seconds=lease), 5)


async def turn(db, schedule):
    """Waits for a turn, or returns nothing when another machine has run the tick."""
    while True:
        run, wait = await schedule.turn(db)
        if run or wait > 60:
            return run
        await asyncio.sleep(wait)


async def store(db, schedule, run):
    async with db.transaction():
        await schedule.finish(db, run)
        await db.execute("INSERT INTO reports VALUES ($1, $2)", schedule.name, run[0])


async def machine(db, schedule):
    """Runs the tick if it has its turn, and returns how often it ran."""
    run = await turn(db, schedule)
    if run is None:
        return 0
    print(f"{schedule.name}, attempt {run[1]}")
    await store(db, schedule, run)
    return 1


async def main():
    start = time.monotonic()

    async def at(seconds):
        await asyncio.sleep(start + seconds - time.monotonic())

    name = f"cron_{os.getpid()}"
    async with contextlib.AsyncExitStack() as stack:

        async def connect():
            url, settings = os.environ["DATABASE_URL"], {"search_path": name}
            db = await asyncpg.connect(url, server_settings=settings)
            stack.push_async_callback(db.close)
            return db

        machines = [await connect() for _ in range(3)]
        await machines[0].execute(f"CREATE SCHEMA {name}")
        try:
            await machines[0].execute(SCHEMA)
            await demonstrate(*machines, at)
        finally:
            await machines[0].execute(f"DROP SCHEMA {name} CASCADE")


async def demonstrate(ada, bob, eve, at):
    await at(0.4)
    print("Three machines:")
    tick = soon("report", 30)
    runs = await asyncio.gather(*(machine(db, tick) for db in [ada, bob, eve]))
    print(f"runs: {sum(runs)}")

    await at(0.8)
    print("A machine dies during its run:")
    tick = soon("backup", 0.3)
    died = await turn(eve, tick)
    print(f"backup, attempt {died[1]}")
    await eve.close()
    # The lease of the machine that takes over shall not run out.
    tick.lease = datetime.timedelta(seconds=30)
    await machine(bob, tick)

    await at(1.5)
    print("A machine hangs for longer than its lease:")
    tick = soon("cleanup", 0.3)
    late = await turn(ada, tick)
    print(f"cleanup, attempt {late[1]}")
    tick.lease = datetime.timedelta(seconds=30)
    await machine(bob, tick)
    try:
        await store(ada, tick, late)
        print("stored")
    except LeaseLost as error:
        print(f"attempt {late[1]}: {error}")

    await at(2.1)
    count = await ada.fetchval("SELECT count(*) FROM reports")
    print(f"stored for 3 ticks: {count}")


asyncio.run(main())
