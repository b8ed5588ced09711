import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiosqlite
from run import shared, twin

ROWS = 10_000
TABLE = "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, age INTEGER)"
INSERT = "INSERT INTO users VALUES (?1, 'User ' || ?1, ?1 % 100)"
QUERY = "SELECT name, age FROM users WHERE id = ?"


@dataclass
class User:
    name: str
    age: int

    @classmethod
    def from_row(cls, row):
        return cls(row["name"], row["age"])


async def find(connection, number):
    async with connection.execute(QUERY, (number,)) as cursor:
        return User.from_row(await cursor.fetchone())


async def find_in_one_trip(connection, number):
    [row] = await connection.execute_fetchall(QUERY, (number,))
    return User.from_row(row)


async def select(callers, find, size):
    async with aiosqlite.connect(":memory:") as connection:
        connection.row_factory = aiosqlite.Row
        await connection.execute(TABLE)
        await connection.executemany(INSERT, [(number,) for number in range(ROWS)])
        await connection.commit()

        async def find_some(numbers):
            items = total = 0
            for number in numbers:
                user = await find(connection, number * 7919 % ROWS)
                items += 1
                total += user.age + len(user.name)
            return items, total

        return await shared(callers, size, find_some)


select_1 = partial(select, 1, find)
select_10 = partial(select, 10, find)
select_one_trip = partial(select, 1, find_in_one_trip)


async def insert(size):
    example = twin("real-world/sqlite_batch_insert")
    with tempfile.TemporaryDirectory() as folder:
        async with aiosqlite.connect(Path(folder) / "readings.db") as connection:
            await connection.execute("PRAGMA synchronous = OFF")
            await connection.execute("PRAGMA journal_mode = MEMORY")
            await connection.execute(example.TABLE)
            rows = [(number, number / 2) for number in range(size)]
            begun = time.perf_counter()
            await connection.executemany(example.INSERT, rows)
            await connection.commit()
            seconds = time.perf_counter() - begun
            query = "SELECT count(*), sum(id) FROM readings"
            [(items, total)] = await connection.execute_fetchall(query)
    return seconds, items, total
