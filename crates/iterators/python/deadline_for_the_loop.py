import asyncio
from itertools import count

LIMIT = 0.5


async def pages(first):
    for page in count(first):
        await asyncio.sleep(0.15)
        yield page


async def take(items, count):
    async for item in items:
        yield item
        count -= 1
        if count == 0:
            return


async def take_until(deadline, items):
    try:
        while True:
            async with asyncio.timeout_at(deadline):
                item = await anext(items)
            yield item
    except (TimeoutError, StopAsyncIteration):
        return


async def store(page):
    print(f"storing {page}")
    await asyncio.sleep(0.15)
    print(f"stored {page}")


def check(page):
    if page == 8:
        raise OSError("page 8 is torn")
    return page


async def total(pages):
    async with asyncio.timeout(LIMIT):
        return sum([check(page) async for page in pages])


async def main():
    loop = asyncio.get_running_loop()

    print("Around a loop that may fail:")
    for items in [take(pages(1), 2), take(pages(7), 2), take(pages(1), 4)]:
        try:
            print(f"the sum is {await total(items)}")
        except TimeoutError:
            print("the deadline")
        except OSError as error:
            print(error)

    print("Around the loop, the list outside is kept:")
    found = []
    try:
        async with asyncio.timeout(LIMIT):
            async for page in pages(1):
                found.append(page)
    except TimeoutError:
        print(f"until the deadline: {found}")

    print("Around the collecting, nothing is:")
    try:
        async with asyncio.timeout(LIMIT):
            found = [page async for page in pages(1)]
        print(f"all: {found}")
    except TimeoutError:
        print("the deadline, and no list")

    print("Collected until the deadline:")
    found = [page async for page in take_until(loop.time() + LIMIT, pages(1))]
    print(found)
    four = take(pages(1), 4)
    found = [page async for page in take_until(loop.time() + 2 * LIMIT, four)]
    print(found)

    print("Around the loop, its body is cut off:")
    try:
        async with asyncio.timeout(LIMIT):
            async for page in pages(1):
                await store(page)
    except TimeoutError:
        print("the deadline")

    print("On the stream alone, the body finishes:")
    async for page in take_until(loop.time() + LIMIT, pages(1)):
        await store(page)
    print("the end")


asyncio.run(main())
