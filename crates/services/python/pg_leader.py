# /// script
# dependencies = ["asyncpg"]
# ///
import asyncio
import dataclasses
import os
import time

import asyncpg

LEASE = 1.2
NAME = f"leader_{os.getpid()}"
TRY = "SELECT pg_try_advisory_lock(hashtextextended($1, 0))"
BEGIN = """
    INSERT INTO leaders (name, term) VALUES ($1, 1)
    ON CONFLICT (name) DO UPDATE SET term = leaders.term + 1
    RETURNING term
"""


class TermOver(Exception):
    pass


@dataclasses.dataclass(frozen=True)
class Term:
    name: str
    number: int

    async def check(self, db):
        """Call it in the transaction that writes."""
        sql = "SELECT FROM leaders WHERE name = $1 AND term = $2 FOR SHARE"
        if not await db.fetch(sql, self.name, self.number):
            raise TermOver("another leader has begun its term")


async def lead(url, name, lease, settings, work):
    """Waits for the lock, and works until that is done or the connection is lost."""
    third = lease / 3
    settings = settings | {"idle_session_timeout": str(int(lease * 1000))}
    connection = await asyncpg.connect(
        url, timeout=third, command_timeout=third, server_settings=settings
    )
    try:
        while not await connection.fetchval(TRY, name):
            await asyncio.sleep(third)
        term = Term(name, await connection.fetchval(BEGIN, name))
        working = asyncio.ensure_future(work(term))
        connection.add_termination_listener(lambda _: working.cancel())
        try:
            while True:
                done, _ = await asyncio.wait([working], timeout=third)
                if connection.is_closed():
                    raise ConnectionResetError
                if done:
                    return await working
                await connection.execute("SELECT 1")
        finally:
            working.cancel()
    finally:
        connection.terminate()


async def program(who, url, terms):
    async def work(term):
        terms.put_nowait((who, term))
        await asyncio.Event().wait()

    settings = {"search_path": NAME, "application_name": NAME}
    try:
        await lead(url, NAME, LEASE, settings, work)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        print(f"{who} has lost its connection")


async def main():
    start = time.monotonic()

    async def at(seconds):
        await asyncio.sleep(start + seconds - time.monotonic())

    url = os.environ["DATABASE_URL"]
    db = await asyncpg.connect(url, server_settings={"search_path": NAME})
    await db.execute(
        f"""CREATE SCHEMA {NAME};
        CREATE TABLE leaders (name TEXT PRIMARY KEY, term BIGINT NOT NULL)"""
    )
    terms = asyncio.Queue()
    try:
        async with asyncio.TaskGroup() as group:
            await at(0.4)
            print("Two programs want to lead:")
            first = group.create_task(program("Ada", url, terms))
            who, late = await terms.get()
            print(f"{who} leads in term {late.number}")
            second = group.create_task(program("Bob", url, terms))

            await at(0.85)
            print("The leader is killed:")
            first.cancel()
            # When it next tries to lead depends on its start.
            who, now = await terms.get()
            await at(1.4)
            print(f"{who} leads in term {now.number}")
            print("Both write in the transaction that checks their term:")
            for term in [late, now]:
                try:
                    async with db.transaction():
                        await term.check(db)
                    print(f"term {term.number}: written")
                except TermOver as error:
                    print(f"term {term.number}: {error}")

            await at(1.6)
            print("The server closes the connection:")
            await db.execute(
                """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE application_name = $1""",
                NAME,
            )
            await second
    finally:
        await db.execute(f"DROP SCHEMA {NAME} CASCADE")
        await db.close()


asyncio.run(main())
