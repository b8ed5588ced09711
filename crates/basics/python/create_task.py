import asyncio


async def calculate(x, y):
    await asyncio.sleep(1)
    return x + y


async def main():
    task1 = asyncio.create_task(calculate(5, 3))
    task2 = asyncio.create_task(calculate(10, 20))
    print(f"Results: {await task1}, {await task2}")


asyncio.run(main())
