# /// script
# dependencies = ["asyncpg"]
# ///
import asyncio
import csv
import os
import time

import asyncpg

NAME = f"copy_{os.getpid()}"
COLUMNS = ["sensor", "value", "note"]
COPY_OUT = "SELECT sensor, value, note FROM readings ORDER BY sensor"


async def store(db, rows):
    """Stores all rows of an async iterable, or none, and returns how many they are."""
    status = await db.copy_records_to_table("readings", records=rows, columns=COLUMNS)
    return int(status.removeprefix("COPY "))


async def load(db, read):
    """Awaits `read` for each row. While it is slow, the server waits."""
    rest = b""

    async def output(chunk):
        # No value here has a line break.
        nonlocal rest
        *lines, rest = (rest + chunk).split(b"\n")
        for sensor, value, note in csv.reader(line.decode() for line in lines):
            await read(int(sensor), float(value), note or None)

    await db.copy_from_query(COPY_OUT, output=output, format="csv")


async def readings(sensors, pause=0):
    for sensor in sensors:
        await asyncio.sleep(pause)
        yield sensor, sensor / 2, "tab\tand \\N" if sensor == 2 else None


async def count(db):
    print(f"rows in the table: {await db.fetchval('SELECT count(*) FROM readings')}")


async def main():
    start = time.monotonic()

    async def at(seconds):
        await asyncio.sleep(start + seconds - time.monotonic())

    settings = {"search_path": NAME}
    db = await asyncpg.connect(os.environ["DATABASE_URL"], server_settings=settings)
    await db.execute(
        f"""CREATE SCHEMA {NAME};
        CREATE TABLE {NAME}.readings
            (sensor BIGINT PRIMARY KEY, value DOUBLE PRECISION, note TEXT)"""
    )
    try:
        await show(db, at)
    finally:
        await db.execute(f"DROP SCHEMA {NAME} CASCADE")
        await db.close()


async def show(db, at):
    await at(0.4)
    print("Three rows:")
    print(f"stored: {await store(db, readings([1, 2, 3]))}")

    async def tell(sensor, value, note):
        print(f"sensor {sensor}: {value:.1f}, {note or 'no note'}")

    await load(db, tell)

    await at(0.8)
    print("The last of three rows is refused:")
    try:
        await store(db, readings([4, 5, 1]))
    except asyncpg.UniqueViolationError:
        print("refused")
    await count(db)

    await at(1.2)
    print("A copy is dropped in the middle:")
    try:
        await asyncio.wait_for(store(db, readings([4, 5], 0.08)), 0.1)
    except TimeoutError:
        print("dropped")
    await count(db)

    await at(1.6)
    print("A slow reader:")
    values = []

    async def slow(sensor, value, note):
        await asyncio.sleep(0.05)
        values.append(value)

    await load(db, slow)
    print(f"sum: {sum(values):.1f}")


asyncio.run(main())
