import asyncio
from contextlib import aclosing
from itertools import count


class RowLost(Exception):
    def __str__(self):
        return f"row {self.args[0]} was lost"


async def rows(lost):
    try:
        for row in count(1):
            await asyncio.sleep(0.1)
            if row == lost:
                raise RowLost(row)
            yield row
    finally:
        print("Closing the connection")
        await asyncio.sleep(0.1)
        print("The connection is closed")


async def total(lost):
    result = 0
    async with aclosing(rows(lost)) as closed:
        async for row in closed:
            print(f"row {row}")
            result += row
            if row == 2:
                break
    return result


async def main():
    print("After a break, and after a failure:")
    for lost in (5, 2):
        try:
            print(f"the sum is {await total(lost)}")
        except RowLost as error:
            print(f"no sum: {error}")


asyncio.run(main())
