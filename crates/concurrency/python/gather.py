import asyncio


async def fetch_data(id, delay):
    await asyncio.sleep(delay)
    if id == 0:
        raise ValueError("there is no data 0")
    print(f"Fetched data {id}")
    return f"Data {id}"


async def main():
    print("A list, its results in its order:")
    fetches = [fetch_data(1, 0.2), fetch_data(2, 0.1), fetch_data(3, 0.3)]
    print(", ".join(await asyncio.gather(*fetches)))

    print("The first error, while the others run on:")
    fetches = [fetch_data(1, 0.2), fetch_data(0, 0.1), fetch_data(3, 0.3)]
    try:
        await asyncio.gather(*fetches)
    except ValueError as error:
        print(f"Error: {error}")
    await asyncio.sleep(0.3)


asyncio.run(main())
