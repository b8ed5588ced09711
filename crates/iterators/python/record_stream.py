import asyncio


async def query(row):
    await asyncio.sleep(0.1)
    return f"record {row}"


class Rows:
    def __init__(self, max_rows):
        self.row = 0
        self.max_rows = max_rows

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self.row == self.max_rows:
            raise StopAsyncIteration
        item = (self.row, await query(self.row))
        self.row += 1
        return item


async def stream_records(max_rows):
    for row in range(max_rows):
        yield row, await query(row)


async def main():
    async for row, content in Rows(3):
        print(f"row {row}: {content}")

    async for row, content in stream_records(3):
        print(f"row {row}: {content}")

    from_class = [row async for row in Rows(3)]
    from_generator = [row async for row in stream_records(3)]
    print(f"The same rows: {'yes' if from_class == from_generator else 'no'}")
    print(f"Rows of an empty table: {len([row async for row in Rows(0)])}")


asyncio.run(main())
