import asyncio

LIMIT = 0.5


async def pages():
    for page in range(1, 5):
        await asyncio.sleep(0.15)
        yield page


async def take_until(deadline, items):
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                item = await anext(items)
        except (TimeoutError, StopAsyncIteration):
            return
        yield item


async def store(page):
    print(f"storing {page}")
    await asyncio.sleep(0.15)
    print(f"stored {page}")


async def main():
    loop = asyncio.get_running_loop()

    print("A list of what came until the deadline:")
    for limit in (LIMIT, 2 * LIMIT):
        in_time = take_until(loop.time() + limit, pages())
        print([page async for page in in_time])

    print("Around the loop, its body is cut off:")
    try:
        async with asyncio.timeout(LIMIT):
            async for page in pages():
                await store(page)
    except TimeoutError:
        print("the deadline")

    print("On the stream alone, the body finishes:")
    async for page in take_until(loop.time() + LIMIT, pages()):
        await store(page)
    print("the end")


asyncio.run(main())
