from queue_4_to_4 import transfer


async def bench(size):
    return await transfer(100, size)
