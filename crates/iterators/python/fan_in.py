import asyncio

CAPACITY = 1


async def produce(sensor, queue):
    name, seconds = sensor
    for number in range(1, 4):
        await asyncio.sleep(seconds)
        if name == "west":
            raise RuntimeError("no sensor in the west")
        await queue.put((name, number))
    # Switches the sensor off.
    await asyncio.sleep(0.1)
    print(f"{name} has sent all")


async def consume(queue):
    while True:
        name, number = await queue.get()
        print(f"{name}: {number}")
        await asyncio.sleep(0.3)
        queue.task_done()


async def report(sensors):
    queue = asyncio.Queue(CAPACITY)
    async with asyncio.TaskGroup() as group:
        consumer = group.create_task(consume(queue))
        producers = [group.create_task(produce(sensor, queue)) for sensor in sensors]
        for producer in producers:
            await producer
        await queue.join()
        consumer.cancel()
    print("All producers are done")


async def main():
    print("Two producers, and the consumer is the slowest:")
    await report([("north", 0.1), ("south", 0.55)])

    print("A producer that crashes, and another one:")
    try:
        await report([("west", 0.1), ("north", 0.15)])
    except* RuntimeError as group:
        for error in group.exceptions:
            print(f"failed: {error}")


asyncio.run(main())
