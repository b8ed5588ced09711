# /// script
# requires-python = ">=3.11"
# dependencies = ["aiosqlite"]
# ///
import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import aiosqlite


async def fetch_users(path):
    async with aiosqlite.connect(path) as db:
        async with db.execute("SELECT id, name FROM users ORDER BY id") as cursor:
            return await cursor.fetchall()


async def add_users(path):
    async with aiosqlite.connect(path) as db:
        await db.executescript(
            """CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
               INSERT INTO users (name) VALUES ('Ada'), ('Grace'), ('Alan');"""
        )


async def main():
    directory = await asyncio.to_thread(TemporaryDirectory)
    with directory:
        path = Path(directory.name, "users.db")
        await add_users(path)
        for id, name in await fetch_users(path):
            print(id, name)


asyncio.run(main())
