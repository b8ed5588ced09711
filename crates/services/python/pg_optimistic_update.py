# /// script
# dependencies = ["asyncpg"]
# ///
import asyncio
import contextlib
import dataclasses
import os
import time

import asyncpg

LOAD = "SELECT text, version FROM documents WHERE id = $1"
SAVE = """
    UPDATE documents SET text = $2, version = version + 1
    WHERE id = $1 AND version = $3 RETURNING version
"""
TABLE = """
    CREATE TABLE documents (
        id BIGINT PRIMARY KEY, text TEXT NOT NULL, version BIGINT NOT NULL);
    INSERT INTO documents VALUES (1, 'buy', 1), (2, 0, 1)
"""


class Conflict(Exception):
    pass


@dataclasses.dataclass(frozen=True)
class Document:
    id: int
    text: str
    version: int


async def load(db, id, lock=""):
    row = await db.fetchrow(LOAD + lock, id)
    if row is None:
        raise LookupError("there is no such document")
    return Document(id, *row)


async def save(db, document):
    """Saves the text, and returns the document with its new version."""
    version = await db.fetchval(SAVE, document.id, document.text, document.version)
    if version is None:
        raise Conflict("somebody else has changed the document")
    return dataclasses.replace(document, version=version)


async def change(db, id, attempts, compute):
    """Loads and computes again after a conflict."""
    for _ in range(attempts):
        document = await load(db, id)
        with contextlib.suppress(Conflict):
            text = compute(document.text)
            return await save(db, dataclasses.replace(document, text=text))
    raise Conflict("somebody else has changed the document")


async def change_locked(db, id, compute):
    async with db.transaction():
        document = await load(db, id, " FOR UPDATE")
        text = compute(document.text)
        return await save(db, dataclasses.replace(document, text=text))


def following(text):
    return str(int(text) + 1)


async def change_blindly(db, id):
    """Adds one, as many programs do: another one may do the same in between."""
    document = await load(db, id)
    await asyncio.sleep(0.1)
    sql = "UPDATE documents SET text = $2 WHERE id = $1"
    await db.execute(sql, id, following(document.text))


async def main():
    name = f"documents_{os.getpid()}"
    start = time.monotonic()

    async def at(seconds):
        await asyncio.sleep(start + seconds - time.monotonic())

    async with contextlib.AsyncExitStack() as stack:

        async def connect():
            url, settings = os.environ["DATABASE_URL"], {"search_path": name}
            db = await asyncpg.connect(url, server_settings=settings)
            stack.push_async_callback(db.close)
            return db

        ada, bob = await connect(), await connect()
        await ada.execute(f"CREATE SCHEMA {name}")
        try:
            await ada.execute(TABLE)
            await show(ada, bob, at)
        finally:
            await ada.execute(f"DROP SCHEMA {name} CASCADE")


async def show(ada, bob, at):
    await at(0.3)
    print("Two users edit one document:")
    first, second = await load(ada, 1), await load(bob, 1)
    first = dataclasses.replace(first, text=first.text + " tea")
    second = dataclasses.replace(second, text=second.text + " cake")
    saved = await save(ada, first)
    print(f"version {saved.version}: {saved.text}")
    try:
        await save(bob, second)
    except Conflict as error:
        print(error)

    await at(0.6)
    print("Two add one, without a version:")
    await asyncio.gather(change_blindly(ada, 2), change_blindly(bob, 2))
    print(f"the sum is {(await load(ada, 2)).text}")

    async def ten_times(add):
        for _ in range(10):
            await add()

    await at(0.9)
    print("Two add one, each ten times, with a version:")
    await asyncio.gather(
        ten_times(lambda: change(ada, 2, 100, following)),
        ten_times(lambda: change(bob, 2, 100, following)),
    )
    await at(1.2)
    print(f"the sum is {(await load(ada, 2)).text}")

    print("Two add one, each ten times, with a lock:")
    await asyncio.gather(
        ten_times(lambda: change_locked(ada, 2, following)),
        ten_times(lambda: change_locked(bob, 2, following)),
    )
    await at(1.5)
    print(f"the sum is {(await load(ada, 2)).text}")


asyncio.run(main())
