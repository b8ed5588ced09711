import asyncio


async def simple_coroutine():
    lines = 0
    print("Coroutine started")
    lines += 1
    await asyncio.sleep(1)
    print("Coroutine resumed")
    lines += 1
    return f"Done after {lines} lines"


async def neighbour():
    print("The neighbour starts")
    await asyncio.sleep(0.5)
    print("The neighbour ends")


async def double(number):
    return number * 2


async def doubles(name):
    for number in range(1, 4):
        print(f"{name}: {await double(number)}")


async def main():
    print("Before calling coroutine")
    result = await simple_coroutine()
    print(f"Result: {result}")
    print("After coroutine")

    print("With a neighbour:")
    result, _ = await asyncio.gather(simple_coroutine(), neighbour())
    print(f"Result: {result}")

    print("Awaits that have nothing to wait for:")
    await asyncio.gather(doubles("A"), doubles("B"))


asyncio.run(main())
