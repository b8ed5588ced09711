import asyncio

from read_files import read_all


async def read(path):
    return await asyncio.to_thread(path.read_bytes)


async def bench(size):
    return await read_all(size, read)
