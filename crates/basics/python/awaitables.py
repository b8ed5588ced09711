import asyncio


async def my_coroutine():
    await asyncio.sleep(1)
    return "Result"


def set_result(future):
    if not future.cancelled():
        future.set_result("value")


def value_later():
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_later(1, set_result, future)
    return future


async def main():
    print(f"A coroutine: {await my_coroutine()}")

    task = asyncio.create_task(my_coroutine())
    print(f"A task: {await task}")

    print(f"A future: {await value_later()}")


asyncio.run(main())
