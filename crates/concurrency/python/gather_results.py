import asyncio


async def fetch_data(id, delay):
    print(f"Fetching data {id}")
    await asyncio.sleep(delay)
    return f"Data {id}"


async def main():
    one, two = await asyncio.gather(fetch_data(1, 0.2), fetch_data(2, 0.1))
    print(f"{one}, {two}")

    requests = [(3, 0.2), (4, 0.1), (5, 0.3)]
    fetches = [fetch_data(id, delay) for id, delay in requests]
    print(f"Results: {', '.join(await asyncio.gather(*fetches))}")


asyncio.run(main())
