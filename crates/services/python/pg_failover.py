# /// script
# requires-python = ">=3.11"
# dependencies = ["asyncpg"]
# ///
import asyncio
import dataclasses
import os
import time

import asyncpg

# Those of a failover: the connection broke, the primary is a standby, or there is none.
PASSING = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.AdminShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.exceptions.TargetServerAttributeNotMatched,
)


class NoPrimary(Exception):
    pass


@dataclasses.dataclass
class Primary:
    """A connection to the host that accepts writes. A host is what `connect` takes."""

    hosts: list
    answer: float
    pause: float
    failover: float
    db: asyncpg.Connection | None = None

    async def run(self, work):
        end = time.monotonic() + self.failover
        while True:
            # After an error, or a cancellation, nobody uses the connection again.
            db, self.db = self.db, None
            try:
                db = db or await self._connect()
                async with asyncio.timeout(self.answer):
                    done = await work(db)
                self.db, db = db, None
                return done
            except (NoPrimary, *PASSING):
                if time.monotonic() >= end:
                    raise
            finally:
                if db:
                    db.terminate()
            await asyncio.sleep(self.pause)

    async def _connect(self):
        last = None
        for host in self.hosts:
            try:
                # The limit is for all of the connect, not only for that of TCP.
                return await asyncpg.connect(
                    **host, target_session_attrs="read-write", timeout=self.answer
                )
            except PASSING as error:
                last = error
        raise NoPrimary("no host accepts writes") from last


async def write(primary):
    """Writes, and returns where: on host 1 or 2."""
    sql = "INSERT INTO notes VALUES (1) RETURNING right(current_user, 1)"
    return await primary.run(lambda db: db.fetchval(sql))


async def promote(admin, names, primary):
    """Makes one host the primary, or none. The connections of both end."""
    for number, host in enumerate(names):
        state = "off" if primary == number else "on"
        await admin.execute(
            f"""ALTER ROLE {host} SET default_transaction_read_only = {state};
            SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
            WHERE usename = '{host}'"""
        )


async def main():
    start = time.monotonic()

    async def at(seconds):
        await asyncio.sleep(start + seconds - time.monotonic())

    name, url = f"failover_{os.getpid()}", os.environ["DATABASE_URL"]
    # Each host is a role of one server here: a role may be read-only, as a standby is.
    names = one, two = [f"{name}_1", f"{name}_2"]
    settings = {"search_path": name}
    hosts = [{"dsn": url, "user": it, "server_settings": settings} for it in names]
    admin = await asyncpg.connect(url, server_settings=settings)
    await admin.execute(
        f"""CREATE ROLE {one} LOGIN; CREATE ROLE {two} LOGIN; CREATE SCHEMA {name};
        CREATE TABLE {name}.notes (n INT); GRANT USAGE ON SCHEMA {name} TO {one}, {two};
        GRANT SELECT, INSERT ON {name}.notes TO {one}, {two}"""
    )
    try:
        await demonstrate(admin, names, hosts, at)
    finally:
        await admin.execute(f"DROP SCHEMA {name} CASCADE; DROP ROLE {one}, {two}")
        await admin.close()


async def demonstrate(admin, names, hosts, at):
    await promote(admin, names, 0)
    primary = Primary(hosts, answer=30, pause=0.05, failover=30)

    await at(0.4)
    print("The first host is the primary:")
    print(f"written on host {await write(primary)}")

    await at(0.6)
    print("The hosts change their places:")
    await promote(admin, names, 1)
    print(f"written on host {await write(primary)}")

    await at(1)
    print("For a while no host accepts writes:")
    await promote(admin, names, None)
    writing = asyncio.create_task(write(primary))
    await asyncio.sleep(0.2)
    await promote(admin, names, 0)
    host = await writing
    await at(1.6)
    print(f"written on host {host}")

    print("There is none for longer than the failover may take:")
    await promote(admin, names, None)
    primary = Primary(hosts, answer=30, pause=0.05, failover=0.1)
    try:
        result = f"written on host {await write(primary)}"
    except NoPrimary as error:
        result = str(error)
    await at(2)
    print(result)
    print(f"written: {await admin.fetchval('SELECT count(*) FROM notes')}")


asyncio.run(main())
