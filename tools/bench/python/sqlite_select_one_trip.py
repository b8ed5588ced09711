from sqlite_select import QUERY, User, select


async def find(connection, number):
    [row] = await connection.execute_fetchall(QUERY, (number,))
    return User.from_row(row)


async def bench(size):
    return await select(size, 1, find)
