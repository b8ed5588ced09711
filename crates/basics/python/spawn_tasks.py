import asyncio


async def worker(name, delay):
    print(f"Worker {name} starts")
    await asyncio.sleep(delay)
    print(f"Worker {name} has finished")
    return f"Result from {name}"


async def main():
    print("Two tasks:")
    name = "A"
    task1 = asyncio.create_task(worker(name, 2))
    task2 = asyncio.create_task(worker("B", 1))
    print(f"Waiting for {name}, then for B")
    print(f"{await task1}, {await task2}")

    print("A list of tasks that share a table:")
    delays = [300, 100, 200]

    async def wait(index):
        await asyncio.sleep(delays[index] / 1000)
        return f"Task {index} waited for {delays[index]} ms"

    tasks = [asyncio.create_task(wait(index)) for index in range(len(delays))]
    for result in await asyncio.gather(*tasks):
        print(result)


asyncio.run(main())
