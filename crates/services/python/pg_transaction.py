# /// script
# dependencies = ["asyncpg"]
# ///
import asyncio
import os
import time

import asyncpg

NAME = f"transaction_{os.getpid()}"
CONFLICTS = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)


class Poor(Exception):
    pass


async def retry(transact, attempts=5, backoff=0.05):
    for _ in range(1, attempts):
        try:
            return await transact()
        except CONFLICTS:
            await asyncio.sleep(backoff)
            backoff *= 2
    return await transact()


async def balance(db, name):
    return await db.fetchval("SELECT balance FROM accounts WHERE name = $1", name)


async def add(db, name, amount):
    sql = "UPDATE accounts SET balance = balance + $2 WHERE name = $1"
    await db.execute(sql, name, amount)


async def show(pool):
    async with pool.acquire() as db, db.transaction(isolation="serializable"):
        ada, bob = await balance(db, "Ada"), await balance(db, "Bob")
        print(f"Ada has {ada}, Bob has {bob}")


async def conflict(pool):
    """Two transfers that both have read Ada's balance before one writes."""
    read, runs = asyncio.Event(), 0

    async def transfer():
        nonlocal runs
        async with pool.acquire() as db, db.transaction(isolation="serializable"):
            before = await balance(db, "Ada")
            runs += 1
            if runs == 2:
                read.set()
            await read.wait()
            if before < 60:
                raise Poor(f"Ada has only {before}")
            await add(db, "Ada", -60)
            await add(db, "Bob", 60)

    ended = await asyncio.gather(
        retry(transfer), retry(transfer), return_exceptions=True
    )
    print(f"runs: {runs}")
    print(f"one is done, the other: {next(filter(None, ended))}")


async def main():
    start = time.monotonic()

    async def at(seconds):
        await asyncio.sleep(start + seconds - time.monotonic())

    settings = {"search_path": NAME}
    url = os.environ["DATABASE_URL"]
    async with asyncpg.create_pool(url, min_size=2, server_settings=settings) as pool:
        await pool.execute(
            f"""CREATE SCHEMA {NAME};
            CREATE TABLE accounts
                (name TEXT PRIMARY KEY, balance INT CHECK (balance >= 0));
            INSERT INTO accounts VALUES ('Ada', 100), ('Bob', 100)"""
        )
        try:
            await transfers(pool, at)
        finally:
            await pool.execute(f"DROP SCHEMA {NAME} CASCADE")


async def transfers(pool, at):
    await at(0.4)
    print("Two transfers of 60 read the balance at once:")
    await conflict(pool)
    await show(pool)

    await at(0.8)
    print("A transfer is dropped in the middle:")

    async def transfer():
        async with pool.acquire() as db, db.transaction(isolation="serializable"):
            await add(db, "Ada", -10)
            await asyncio.sleep(60)

    try:
        await asyncio.wait_for(transfer(), 0.1)
    except TimeoutError:
        await show(pool)

    await at(1.2)
    print("A part fails in its savepoint:")
    async with pool.acquire() as db:
        async with db.transaction(isolation="serializable"):
            await add(db, "Ada", 10)
            try:
                async with db.transaction():
                    await add(db, "Bob", -1000)
            except asyncpg.CheckViolationError:
                print("Bob cannot pay")
    await show(pool)

    await at(1.6)
    print("An error is ignored:")
    async with pool.acquire() as db:
        async with db.transaction(isolation="serializable"):
            await add(db, "Ada", 10)
            try:
                await add(db, "Bob", -1000)
            except asyncpg.CheckViolationError:
                pass
    print("the commit succeeds")
    await show(pool)


asyncio.run(main())
