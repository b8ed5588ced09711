from queue_1_to_1 import transfer


async def bench(size):
    return await transfer(100, size)
