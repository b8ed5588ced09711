import asyncio


class Database:
    async def __aenter__(self):
        await asyncio.sleep(0.1)
        print("opened")
        return self

    async def count(self, table):
        await asyncio.sleep(0.2)
        assert table != ";", "no table is called ;"
        match table:
            case "orders":
                return 6
            case "users":
                return 3
            case "guests":
                return 0
        raise ValueError(f"no table {table}")

    async def __aexit__(self, exc_type, error, traceback):
        await asyncio.sleep(0.1)
        print("closed")


async def ratio(orders, users):
    async with Database() as database:
        users = await database.count(users)
        if users == 0:
            return 0
        return await database.count(orders) // users


async def main():
    print("Success, an early return and an error:")
    print(f"{await ratio('orders', 'users')} for each user")
    print(f"{await ratio('orders', 'guests')} for each guest")
    try:
        await ratio("odrers", "users")
    except ValueError as error:
        print(f"error: {error}")

    # There is no way to leave an `async with` without its end.
    print("An error without a block around the queries:")
    try:
        await ratio("odrers", "users")
    except ValueError as error:
        print(f"error: {error}")

    print("A bug:")
    try:
        await ratio("orders", ";")
    except AssertionError:
        print("ended by a bug")

    print("A timeout of 0.2 s:")
    try:
        async with asyncio.timeout(0.2):
            await ratio("orders", "users")
    except TimeoutError:
        print("timed out")


asyncio.run(main())
