import asyncio

CAPACITY = 1


class Unplugged(Exception):
    pass


async def read(sensor, turn):
    name, seconds = sensor
    await asyncio.sleep(seconds)
    if name == "west":
        raise RuntimeError("no sensor in the west")
    if name == "east" and turn > 1:
        raise Unplugged("unplugged")
    return turn


async def produce(sensor, queue):
    name, _ = sensor
    for turn in range(1, 4):
        try:
            reading = await read(sensor, turn)
        except Unplugged as error:
            await queue.put((name, error))
            return
        await queue.put((name, reading))
    # Switching the sensor off.
    await asyncio.sleep(0.1)
    print(f"{name} has sent all")


async def consume(queue):
    while True:
        name, reading = await queue.get()
        if isinstance(reading, Unplugged):
            print(f"{name} failed: {reading}")
        else:
            print(f"{name}: {reading}")
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
    print("Three producers, and the consumer is the slowest:")
    await report([("north", 0.1), ("east", 0.25), ("south", 0.55)])

    print("A producer that crashes, and another one:")
    try:
        await report([("west", 0.1), ("north", 0.15)])
    except* RuntimeError as group:
        for error in group.exceptions:
            print(f"failed: {error}")


asyncio.run(main())
