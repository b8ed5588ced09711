# /// script
# requires-python = ">=3.11"
# dependencies = ["aiosqlite"]
# ///
import asyncio
import sqlite3
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import aiosqlite


@asynccontextmanager
async def connect(path):
    # Without an isolation level each statement commits by itself.
    async with aiosqlite.connect(path, isolation_level=None) as db:
        # A demonstration need not wait for the disk.
        await db.execute("PRAGMA synchronous = OFF")
        print("Connected")
        yield db


async def add(db, name):
    async with db.execute("INSERT INTO users VALUES (?1)", [name]) as cursor:
        return cursor.rowcount


async def count(db):
    async with db.execute("SELECT count(*) FROM users") as cursor:
        (users,) = await cursor.fetchone()
        return users


async def register(path, names):
    """Adds the users and returns how many there are. Opens and closes the database."""
    try:
        async with connect(path) as db:
            await db.execute("CREATE TABLE IF NOT EXISTS users (name TEXT UNIQUE)")
            for name in names:
                await add(db, name)
            return await count(db)
    finally:
        print("Disconnected")


async def main():
    directory = await asyncio.to_thread(TemporaryDirectory)
    with directory:
        path = Path(directory.name) / "users.db"

        print("Two users:")
        print(f"{await register(path, ['Ada', 'Grace'])} users")

        print("The second of three users is there already:")
        try:
            print(f"{await register(path, ['Alan', 'Ada', 'Edsger'])} users")
        except sqlite3.IntegrityError as error:
            print(f"Error: {error}")

        print("Opened again, for two tasks:")
        async with connect(path) as db:
            print(f"{await count(db)} users")
            added = await asyncio.gather(add(db, "Barbara"), add(db, "Edsger"))
            print(f"{sum(added)} rows are added")
            print(f"{await count(db)} users")

        print("Used after it was closed:")
        try:
            print(f"{await count(db)} users")
        except ValueError:
            print("Error: the database is closed")


asyncio.run(main())
