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


class RowLost(Exception):
    pass


async def remote_rows(lost):
    try:
        for row in count(1):
            await asyncio.sleep(0.1)
            if row == lost:
                raise RowLost
            yield row
    finally:
        print("Closing the connection")
        await asyncio.sleep(0.1)
        print("The connection is closed")


async def total(lost):
    result = 0
    async with aclosing(remote_rows(lost)) as remote:
        async for row in remote:
            print(f"row {row}")
            result += row
            if row == 2:
                break
    return result


async def main():
    print("Clean-up that does not await:")
    async for row in rows():
        print(f"row {row}")
        if row == 2:
            break
    print("Out of the loop")
    await asyncio.sleep(0.2)
    print("0.2 s later")

    print("Clean-up that awaits, after a break and after a failure:")
    for lost in (5, 2):
        try:
            print(f"the sum is {await total(lost)}")
        except RowLost:
            print("no sum: a row was lost")

    print("With a variable that holds it:")
    held = rows()
    async for row in held:
        print(f"row {row}")
        if row == 2:
            break
    await asyncio.sleep(0.2)
    print("0.2 s later, and the generator is still there")


asyncio.run(main())
