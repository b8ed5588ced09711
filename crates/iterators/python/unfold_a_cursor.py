import asyncio


class ConnectionLost(Exception):
    def __str__(self):
        return "the connection was lost"


class Cursor:
    def __init__(self, rows, broken_at=None):
        self.row = 0
        self.rows = rows
        self.broken_at = broken_at

    async def fetch(self):
        """The next row, or None after the last: a query that takes 100 ms."""
        if self.row == self.rows:
            return None
        await asyncio.sleep(0.1)
        if self.row == self.broken_at:
            raise ConnectionLost
        self.row += 1
        return f"row {self.row} of {self.rows}"


class Rows:
    def __init__(self, cursor):
        self.cursor = cursor

    def __aiter__(self):
        return self

    async def __anext__(self):
        row = await self.cursor.fetch()
        if row is None:
            raise StopAsyncIteration
        return row


async def show(rows):
    async for row in rows:
        print(row)
    print("the end")


async def main():
    print("All rows:")
    await show(Rows(Cursor(3)))
    print("The connection breaks at the third row:")
    try:
        await show(Rows(Cursor(3, broken_at=2)))
    except ConnectionLost as error:
        print(f"failed: {error}")


asyncio.run(main())
