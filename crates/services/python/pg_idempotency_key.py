# /// script
# dependencies = ["asyncpg"]
# ///
import asyncio
import contextlib
import os
import time

import asyncpg

SCHEMA = """
    CREATE TABLE idempotency_keys (
        account TEXT,
        key TEXT,
        request TEXT NOT NULL,
        reply TEXT NOT NULL DEFAULT '',
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        PRIMARY KEY (account, key)
    );
    CREATE TABLE payments (id INT GENERATED ALWAYS AS IDENTITY, sum INT);
"""
LIMITS = """
    SELECT set_config('lock_timeout', $1, TRUE),
        set_config('idle_in_transaction_session_timeout', $1, TRUE)
"""
# Waits for another transaction that has inserted the key.
BEGIN = """
    INSERT INTO idempotency_keys (account, key, request) VALUES ($1, $2, $3)
    ON CONFLICT DO NOTHING
"""
FIND = "SELECT request, reply FROM idempotency_keys WHERE account = $1 AND key = $2"
STORE = "UPDATE idempotency_keys SET reply = $3 WHERE account = $1 AND key = $2"


class KeyError409(Exception):
    """HTTP 409: the client repeats it later."""


class KeyError422(Exception):
    """HTTP 422: the client has used a key twice."""


async def once(db, account, key, body, limit, work):
    """Returns the reply of `work`, and whether it is an earlier one."""
    # The SELECT sees what was committed during the INSERT.
    async with db.transaction(isolation="read_committed"):
        await db.execute(LIMITS, str(round(limit * 1000)))
        try:
            status = await db.execute(BEGIN, account, key, body)
        except asyncpg.LockNotAvailableError:
            raise KeyError409("a request with this key is being handled") from None
        if status == "INSERT 0 0":
            request, reply = await db.fetchrow(FIND, account, key)
            if request != body:
                raise KeyError422("this key belongs to another request")
            return reply, True
        reply = await work(db)
        await db.execute(STORE, account, key, reply)
        return reply, False


async def pay(db, key, body):
    """Takes the money. The sum is the body of the request."""

    async def work(db):
        sql = "INSERT INTO payments (sum) VALUES ($1) RETURNING id"
        id = await db.fetchval(sql, int(body))
        await asyncio.sleep(0.2)
        if int(body) > 100:
            raise ValueError("not enough money")
        return f"payment {id}"

    try:
        reply, is_repeat = await once(db, "Ada", key, body, 0.5, work)
    except (KeyError409, KeyError422, ValueError) as error:
        return str(error)
    return f"{reply}, again" if is_repeat else reply


async def main():
    name = f"payments_{os.getpid()}"
    start = time.monotonic()

    async def at(seconds):
        await asyncio.sleep(start + seconds - time.monotonic())

    async with contextlib.AsyncExitStack() as stack:

        async def connect():
            url, settings = os.environ["DATABASE_URL"], {"search_path": name}
            db = await asyncpg.connect(url, server_settings=settings)
            stack.push_async_callback(db.close)
            return db

        first, second = await connect(), await connect()
        await first.execute(f"CREATE SCHEMA {name}")
        try:
            await first.execute(SCHEMA)
            await show(first, second, at)
        finally:
            await first.execute(f"DROP SCHEMA {name} CASCADE")


async def show(first, second, at):
    await at(0.3)
    print("A payment comes twice at the same time:")

    async def later():
        await asyncio.sleep(0.1)
        return await pay(second, "key 1", "20")

    for paid in await asyncio.gather(pay(first, "key 1", "20"), later()):
        print(paid)

    await at(0.6)
    print("It comes again, and then with another sum:")
    print(await pay(second, "key 1", "20"))
    print(await pay(second, "key 1", "30"))

    await at(0.8)
    print("A payment fails, and its key is free again:")
    print(await pay(first, "key 2", "200"))
    print(await pay(first, "key 2", "10"))

    await at(1.4)
    print("A transaction holds a key for too long:")
    held = first.transaction()
    await held.start()
    await first.execute(BEGIN, "Ada", "key 3", "40")
    print(await pay(second, "key 3", "40"))
    await held.rollback()
    await at(2.1)
    total, count = await first.fetchrow("SELECT sum(sum), count(*) FROM payments")
    print(f"paid: {total}, in {count} payments")


asyncio.run(main())
