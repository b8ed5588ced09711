import asyncio


async def fetch_data(id, delay):
    await asyncio.sleep(delay)
    print(f"fetched {id}")
    if id == 4:
        raise ValueError("no such data")
    return f"Data {id}"


async def use_it(id, result):
    print(f"{id}: {result}")
    await asyncio.sleep(0.25)


async def keyed(request):
    try:
        return request[0], await fetch_data(*request)
    except ValueError as error:
        return request[0], f"Error: {error}"


async def main():
    requests = [(1, 0.4), (2, 0.1), (3, 0.2), (4, 0.3)]

    print("Tasks, and a slow loop:")
    for completed in asyncio.as_completed([keyed(request) for request in requests]):
        id, result = await completed
        await use_it(id, result)

    # In asyncio all that runs concurrently is a task, so this is the same again.
    print("Futures that are no tasks, and a slow loop:")
    for completed in asyncio.as_completed([keyed(request) for request in requests]):
        id, result = await completed
        await use_it(id, result)


asyncio.run(main())
