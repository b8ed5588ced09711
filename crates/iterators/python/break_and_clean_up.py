import asyncio
from contextlib import aclosing
from itertools import count


async def rows():
    try:
        for row in count(1):
            await asyncio.sleep(0.1)
            yield row
    finally:
        print("The cursor is released")


async def main():
    print("In a block of its own:")
    async with aclosing(rows()) as closed:
        async for row in closed:
            print(f"row {row}")
            if row == 2:
                break
        print("Out of the loop")
    await asyncio.sleep(0.2)
    print("0.2 s later")

    print("In a variable that lives on:")
    held = rows()
    async for row in held:
        print(f"row {row}")
        if row == 2:
            break
    await asyncio.sleep(0.2)
    print("0.2 s later, and the generator is still there")


asyncio.run(main())
