# /// script
# dependencies = ["asyncpg"]
# ///
import asyncio
import contextlib
import dataclasses
import os
import time

import asyncpg

EXISTS = "SELECT to_regclass('migrations') IS NOT NULL"
DONE = "SELECT count(*) FROM migrations"
# Any number serves, if all programs use the same. The lock ends with the transaction.
TAKE_TURNS = """
    SELECT pg_advisory_xact_lock(1246908251);
    CREATE TABLE IF NOT EXISTS migrations (
        number BIGINT PRIMARY KEY, done_at TIMESTAMPTZ NOT NULL DEFAULT now())
"""
IN_THE_WAY = asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError


@dataclasses.dataclass(frozen=True)
class Migrations:
    statements: list[str]
    lock_timeout: float = 0.1
    pause: float = 0.15
    attempts: int = 10

    async def run(self, db):
        """Runs the migrations that have not run yet, and returns their number."""
        ran, attempt = 0, 1
        while not await self._are_done(db):
            try:
                ran += await self._run_next(db)
                attempt = 1
            except IN_THE_WAY:
                if attempt == self.attempts:
                    raise
                attempt += 1
                await asyncio.sleep(self.pause)
        return ran

    async def _are_done(self, db):
        if not await db.fetchval(EXISTS):
            return False
        return await db.fetchval(DONE) >= len(self.statements)

    async def _run_next(self, db):
        async with db.transaction():
            await db.execute(TAKE_TURNS)
            done = await db.fetchval(DONE)
            if done >= len(self.statements):
                return 0
            millis = round(self.lock_timeout * 1000)
            await db.execute(f"SET LOCAL lock_timeout = {millis}")
            await db.execute(self.statements[done])
            await db.execute("INSERT INTO migrations (number) VALUES ($1)", done + 1)
            return 1


FIRST = [
    "CREATE TABLE notes (text TEXT NOT NULL)",
    "INSERT INTO notes VALUES ('tea')",
]
SECOND = [
    *FIRST,
    "ALTER TABLE notes ADD COLUMN is_done BOOLEAN NOT NULL DEFAULT FALSE",
]
MISTAKE = [*SECOND, "ALTER TABLE notes ADD COLUMN color TEXT; SELECT missing FROM notes"]
COLUMNS = """
    SELECT count(*) FROM information_schema.columns
    WHERE table_schema = current_schema AND table_name = 'notes'
"""


async def show(db):
    migrations, columns = await db.fetchval(DONE), await db.fetchval(COLUMNS)
    print(f"migrations: {migrations}, columns of the notes: {columns}")


async def main():
    name = f"migrations_{os.getpid()}"
    start = time.monotonic()

    async def at(seconds):
        await asyncio.sleep(start + seconds - time.monotonic())

    async with contextlib.AsyncExitStack() as stack:

        async def connect():
            url, settings = os.environ["DATABASE_URL"], {"search_path": name}
            db = await asyncpg.connect(url, server_settings=settings)
            stack.push_async_callback(db.close)
            return db

        first, second, old = await connect(), await connect(), await connect()
        await first.execute(f"CREATE SCHEMA {name}")
        try:
            await demonstrate(first, second, old, at)
        finally:
            await first.execute(f"DROP SCHEMA {name} CASCADE")


async def demonstrate(first, second, old, at):
    await at(0.3)
    print("Two processes start at the same time:")
    release = Migrations(FIRST)
    ran = await asyncio.gather(release.run(first), release.run(second))
    await at(0.5)
    print(f"they run {sum(ran)} migrations")
    await show(first)

    await at(0.6)
    print("The next release, while a transaction of 0.6 s uses the table:")

    async def use():
        async with first.transaction():
            await first.fetch("SELECT text FROM notes")
            await asyncio.sleep(0.6)

    async def read():
        await asyncio.sleep(0.05)
        # Waits behind the ALTER TABLE, but not for long.
        await old.fetch("SELECT text FROM notes")
        await at(0.9)
        print("the old release has read")

    _, _, ran = await asyncio.gather(use(), read(), Migrations(SECOND).run(second))
    await at(1.4)
    print(f"it runs {ran} migrations")
    await show(second)
    print(f"the old release runs {await release.run(first)} migrations")

    await at(1.6)
    print("A migration has a mistake:")
    try:
        await Migrations(MISTAKE).run(second)
    except asyncpg.UndefinedColumnError as error:
        print(error)
    await show(second)


asyncio.run(main())
