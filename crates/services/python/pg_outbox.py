# /// script
# dependencies = ["asyncpg"]
# ///
import asyncio
import os
import time

import asyncpg

SCHEMA = """
    SELECT pg_advisory_xact_lock(1246908246);
    CREATE TABLE IF NOT EXISTS outbox (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        payload TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS handled_events (
        consumer TEXT,
        id BIGINT,
        handled_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        PRIMARY KEY (consumer, id)
    );
"""
LOCK = """
    SELECT pg_try_advisory_xact_lock(1246908246, 'outbox'::REGCLASS::OID::INT),
        set_config('idle_in_transaction_session_timeout', $1, TRUE)
"""
NAME = f"outbox_{os.getpid()}"


async def add_event(db, payload):
    """Adds an event. Call it in the transaction of the change."""
    sql = "INSERT INTO outbox (payload) VALUES ($1) RETURNING id"
    return await db.fetchval(sql, payload)


async def is_new(db, consumer, event):
    """Marks the event as handled. Call it in the transaction of the effect."""
    sql = """INSERT INTO handled_events (consumer, id) VALUES ($1, $2)
             ON CONFLICT DO NOTHING"""
    return await db.execute(sql, consumer, event) == "INSERT 0 1"


async def publish_batch(db, publish, batch=100, limit=30):
    """Publishes the oldest events, deletes them, and returns how many they were."""
    published, failed = [], None
    async with db.transaction(isolation="read_committed"):
        if not await db.fetchval(LOCK, str(2000 * limit)):
            return 0
        sql = "SELECT id, payload FROM outbox ORDER BY id LIMIT $1"
        events = await db.fetch(sql, batch)
        try:
            async with asyncio.timeout(limit):
                for event in events:
                    await publish(event)
                    published.append(event["id"])
        except Exception as error:
            failed = error
        await db.execute("DELETE FROM outbox WHERE id = ANY($1)", published)
    if failed is not None:
        raise failed
    return len(published)


async def connect():
    """Connects to a schema that only this process uses."""
    settings = {"search_path": NAME}
    return await asyncpg.connect(os.environ["DATABASE_URL"], server_settings=settings)


async def order(db, item):
    """Stores an order and its event."""
    async with db.transaction():
        await db.execute("INSERT INTO orders VALUES ($1)", item)
        event = await add_event(db, item)
        if item == "cake":
            raise LookupError(f"event {event}, {item}: sold out")


async def publish(event):
    print(f"published event {event['id']}: {event['payload']}")


async def handle(db, event):
    """Ships what was ordered, once."""
    async with db.transaction():
        if await is_new(db, "shipping", event["id"]):
            await db.execute("INSERT INTO shipments VALUES ($1)", event["payload"])
            print(f"event {event['id']}: handled")
        else:
            print(f"event {event['id']}: a repeat")


async def main():
    start = time.monotonic()

    async def at(seconds):
        await asyncio.sleep(start + seconds - time.monotonic())

    db, second = await connect(), await connect()
    try:
        await db.execute(
            f"""CREATE SCHEMA {NAME};
            CREATE TABLE {NAME}.orders (item TEXT);
            CREATE TABLE {NAME}.shipments (item TEXT)"""
        )
        await db.execute(SCHEMA)
        await show(db, second, at)
    finally:
        await db.execute(f"DROP SCHEMA {NAME} CASCADE")
        await second.close()
        await db.close()


async def show(db, second, at):
    await at(0.4)
    print("An order and its event are stored together:")
    for item in ["tea", "cake", "jam"]:
        try:
            await order(db, item)
        except LookupError as error:
            print(error)
    await publish_batch(db, publish)

    await at(0.8)
    print("The broker fails at the second event:")
    for item in ["milk", "salt", "rice"]:
        await order(db, item)

    async def fails(event):
        if event["payload"] == "salt":
            raise ConnectionError("the broker is down")
        await publish(event)

    try:
        await publish_batch(db, fails)
    except ConnectionError as error:
        print(error)
    await publish_batch(db, publish)

    await at(1.2)
    print("A relay is dropped before its commit:")
    await order(db, "oats")
    delivered = []

    async def delivers(event):
        delivered.append(event)
        await publish(event)

    async def hangs(event):
        await delivers(event)
        await asyncio.Event().wait()

    try:
        await asyncio.wait_for(publish_batch(db, hangs), 0.1)
    except TimeoutError:
        print("dropped")
    await publish_batch(db, delivers)
    for event in delivered:
        await handle(db, event)

    await at(1.6)
    print("Two relays at once:")
    await order(db, "figs")

    async def slow(event):
        await asyncio.sleep(0.1)
        await publish(event)

    async def first():
        print(f"the first relay published {await publish_batch(db, slow)}")

    async def other():
        await at(1.65)
        print(f"the second relay published {await publish_batch(second, publish)}")

    await asyncio.gather(first(), other())


asyncio.run(main())
