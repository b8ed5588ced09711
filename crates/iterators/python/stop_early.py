import asyncio
from contextlib import aclosing


async def open_rows():
    try:
        for row in range(1, 6):
            await asyncio.sleep(0.1)
            yield row
        print("The generator ran to its end")
    finally:
        print("The generator lets go of its cursor")
        print("Closing the cursor")
        await asyncio.sleep(0.1)
        print("The cursor is closed")


async def main():
    async with aclosing(open_rows()) as rows:
        async for row in rows:
            print(f"row {row}")
            if row == 2:
                break
        print("Out of the loop, with the generator still there")

    print("To the end this time")
    count = 0
    async with aclosing(open_rows()) as rows:
        async for _ in rows:
            count += 1
    print(f"{count} rows")


asyncio.run(main())
