from sqlite_select import select


async def bench(size):
    return await select(size, 10)
