import asyncio


def regular_function():
    return "Hello"


async def fetch_data():
    print("The fetch starts")
    await asyncio.sleep(1)
    print("The fetch ends")
    return "data"


async def main():
    print(regular_function())

    print("Called, but not awaited:")
    coroutine = fetch_data()
    await asyncio.sleep(0.5)
    print("Half a second later nothing has run")

    print("Awaited:")
    print(await coroutine)

    print("Dropped without an await:")
    forgotten = fetch_data()
    forgotten.close()  # or Python warns that it was never awaited
    await asyncio.sleep(1)
    print("It never ran")


asyncio.run(main())
