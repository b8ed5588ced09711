import asyncio
import time
from dataclasses import dataclass

import aiosqlite

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


async def find_some(find, connection, first, size, callers):
    items = total = 0
    for number in range(first, size, callers):
        user = await find(connection, number * 7919 % ROWS)
        items += 1
        total += user.age + len(user.name)
    return items, total


async def select(size, callers, find=find):
    async with aiosqlite.connect(":memory:") as connection:
        connection.row_factory = aiosqlite.Row
        await connection.execute(TABLE)
        await connection.executemany(INSERT, [(number,) for number in range(ROWS)])
        await connection.commit()
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(find_some(find, connection, first, size, callers))
                for first in range(callers)
            ]
        seconds = time.perf_counter() - begun
    items, totals = zip(*(task.result() for task in tasks))
    return seconds, sum(items), sum(totals)


async def bench(size):
    return await select(size, 1)
