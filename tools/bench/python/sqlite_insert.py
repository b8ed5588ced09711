import tempfile
import time
from pathlib import Path

import aiosqlite
from run import twin

example = twin("real-world/sqlite_batch_insert")


async def bench(size):
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
