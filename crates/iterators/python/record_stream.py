import asyncio


async def fetch(row):
    await asyncio.sleep(0.1)
    return f"record {row}"


async def record_stream(max_rows):
    for row in range(max_rows):
        yield row, await fetch(row)


async def main():
    async for row, record in record_stream(3):
        print(f"{row}: {record}")


asyncio.run(main())
