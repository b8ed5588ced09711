import asyncio


async def simple_coroutine(name, pause):
    print(f"Coroutine {name} started")
    await asyncio.sleep(pause)
    print(f"Coroutine {name} resumed")
    return f"{name} is done"


async def double(number):
    return number * 2


async def doubles(name):
    for number in range(1, 4):
        print(f"{name}: {await double(number)}")


async def main():
    print("Before calling coroutine")
    result = await simple_coroutine("A", 1)
    print(f"Result: {result}")
    print("After coroutine")

    print("Two coroutines:")
    a, b = await asyncio.gather(simple_coroutine("A", 1), simple_coroutine("B", 0.5))
    print(f"Results: {a}, {b}")

    print("Awaits that have nothing to wait for:")
    await asyncio.gather(doubles("A"), doubles("B"))


asyncio.run(main())
