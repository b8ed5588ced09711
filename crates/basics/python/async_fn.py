import asyncio


async def fetch_data(name):
    await asyncio.sleep(1)
    return f"data of {name}"


async def process_data(name):
    data = await fetch_data(name)
    return data.upper()


async def main():
    print(await process_data("test"))


asyncio.run(main())
