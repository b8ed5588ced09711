import asyncio


class Database:
    async def __aenter__(self):
        await asyncio.sleep(1)
        print("Connected to database")
        return self

    async def query(self, sql):
        await asyncio.sleep(0.5)
        if not sql.startswith("SELECT * FROM "):
            raise ValueError("syntax error")
        return f"Rows of {sql.removeprefix('SELECT * FROM ')}"

    async def __aexit__(self, exc_type, error, traceback):
        await asyncio.sleep(1)
        print("Disconnected from database")


async def main():
    try:
        async with Database() as database:
            print(await database.query("SELECT * FROM users"))
            print(await database.query("SELEKT * FROM users"))
    except ValueError as error:
        print(error)


asyncio.run(main())
