import asyncio


def look(future):
    if future.done():
        print(f"done, the result is {future.result()}")
    else:
        print("not done")


async def set_later(future):
    await asyncio.sleep(1)
    future.set_result(42)


async def fail_to_set(future):
    await asyncio.sleep(0.1)
    print("the setter fails")


async def main():
    loop = asyncio.get_running_loop()

    print("Set twice, and awaited by two tasks:")
    future = loop.create_future()
    look(future)
    setter = asyncio.create_task(set_later(future))
    first, second = await asyncio.gather(future, future)
    print(f"awaited: {first}, {second}")
    await setter
    try:
        future.set_result(43)
    except asyncio.InvalidStateError:
        print("43 is refused: a result is set")
    look(future)

    print("The waiter gives up:")
    future = loop.create_future()
    # The timeout cancels the future.
    try:
        async with asyncio.timeout(0.5):
            await future
    except TimeoutError:
        print("no result in time")
    if future.cancelled():
        print("cancelled")
    try:
        future.set_result("late")
    except asyncio.InvalidStateError:
        print("late is refused: nobody waits")

    print("The setter gives up:")
    future = loop.create_future()
    setter = asyncio.create_task(fail_to_set(future))
    try:
        async with asyncio.timeout(1):
            print(f"awaited: {await future}")
    except TimeoutError:
        print("no result after a second")


asyncio.run(main())
