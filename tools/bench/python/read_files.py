import asyncio
import tempfile
import time
from pathlib import Path

import aiofiles

AT_ONCE = 50


async def read(path):
    async with aiofiles.open(path, "rb") as file:
        return await file.read()


async def read_some(paths, read):
    items = total = 0
    for path in paths:
        data = await read(path)
        items += 1
        total += len(data) + data[-1]
    return items, total


async def read_all(size, read):
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, str(number)) for number in range(size)]
        for number, path in enumerate(paths):
            path.write_bytes(bytes([number % 256]) * 4096)
        begun = time.perf_counter()
        left = iter(paths)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(read_some(left, read)) for _ in range(AT_ONCE)]
        seconds = time.perf_counter() - begun
    items, totals = zip(*(task.result() for task in tasks))
    return seconds, sum(items), sum(totals)


async def bench(size):
    return await read_all(size, read)
