import asyncio


class Database:
    async def __aenter__(self):
        print("Opening")
        await asyncio.sleep(0.1)
        return self

    async def query(self, sql):
        print(sql)
        assert ";" not in sql, "one query at a time"
        await asyncio.sleep(0.2)
        match sql.split():
            case ["count", count]:
                return int(count)
        raise ValueError(f'syntax error in "{sql}"')

    async def __aexit__(self, exc_type, error, traceback):
        if isinstance(error, ValueError):
            print(f"It failed: {error}")
        print("Closing")
        await asyncio.sleep(0.1)
        print("Closed")


async def sum_of(first, second):
    async with Database() as database:
        count = await database.query(first)
        if count == 0:
            return 0
        return count + await database.query(second)


async def print_sum(first, second):
    try:
        print(f"Sum: {await sum_of(first, second)}")
    except ValueError as error:
        print(f"Error: {error}")


async def main():
    print("All goes well:")
    await print_sum("count 3", "count 4")

    print("An early return:")
    await print_sum("count 0", "count 4")

    print("The second query fails:")
    await print_sum("count 3", "cuont 4")

    # There is no way to leave an `async with` without its end.
    print("It fails without a block around the queries:")
    await print_sum("count 3", "cuont 4")

    print("A bug in a query:")
    try:
        await print_sum("count 3", "count 4; count 5")
    except AssertionError:
        print("Ended by a bug")

    print("A timeout of 0.4 s:")
    try:
        async with asyncio.timeout(0.4):
            await print_sum("count 3", "count 4")
    except TimeoutError:
        print("Timed out")


asyncio.run(main())
