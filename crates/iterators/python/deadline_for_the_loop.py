import asyncio
from itertools import count

LIMIT = 0.5


class Torn(Exception):
    pass


async def pages(first, last=None):
    for page in count(first):
        await asyncio.sleep(0.15)
        yield page
        if page == last:
            break


async def total(pages):
    result = 0
    async with asyncio.timeout(LIMIT):
        async for page in pages:
            if page == 8:
                raise Torn("page 8 is torn")
            result += page
    return result


async def main():
    print("Around a loop that may fail:")
    for items in [pages(1, 2), pages(7, 8), pages(1, 4)]:
        try:
            print(f"the sum is {await total(items)}")
        except TimeoutError:
            print("the deadline")
        except Torn as error:
            print(error)

    print("Around the loop, with the list outside:")
    found = []
    try:
        async with asyncio.timeout(LIMIT):
            async for page in pages(1):
                found.append(page)
    except TimeoutError:
        print(f"until the deadline: {found}")


asyncio.run(main())
