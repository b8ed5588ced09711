import asyncio


async def user_name(id):
    await asyncio.sleep(0.2)
    return f"User {id}"


async def unread(_id):
    await asyncio.sleep(0.1)
    return 7


async def fetch_data(id, delay):
    await asyncio.sleep(delay)
    if id == 0:
        raise ValueError("there is no data 0")
    print(f"Fetched data {id}")
    return f"Data {id}"


async def main():
    print("Results of different types:")
    name, count = await asyncio.gather(user_name(1), unread(1))
    print(f"{name} has {count} messages")

    print("A list, its results in its order:")
    requests = [(1, 0.2), (2, 0.1), (3, 0.3)]
    results = await asyncio.gather(*(fetch_data(*request) for request in requests))
    print(", ".join(results))

    print("The first error, while the others run on:")
    requests = [(1, 0.2), (0, 0.1), (3, 0.3)]
    try:
        results = await asyncio.gather(*(fetch_data(*request) for request in requests))
        print(", ".join(results))
    except ValueError as error:
        print(f"Error: {error}")
    await asyncio.sleep(0.3)

    print("The first error, which stops the others:")
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(fetch_data(*request)) for request in requests]
        print(", ".join(task.result() for task in tasks))
    except* ValueError as errors:
        print(f"Error: {errors.exceptions[0]}")
    await asyncio.sleep(0.3)
    print("0.3 s later")


asyncio.run(main())
