import asyncio


async def fetch_data():
    print("Fetching once")
    await asyncio.sleep(1)
    return "data"


async def main():
    data = asyncio.create_task(fetch_data())
    first, second = await asyncio.gather(data, data)
    print(f"{first}, {second}")


asyncio.run(main())
