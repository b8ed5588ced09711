import asyncio

CAPACITY = 1
END = None


class Unplugged(Exception):
    pass


async def read(sensor, turn):
    name, seconds = sensor
    await asyncio.sleep(seconds)
    if name == "west":
        raise RuntimeError("no sensor in the west")
    if name == "east" and turn > 1:
        raise Unplugged
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


async def produce_all(sensors, queue):
    try:
        async with asyncio.TaskGroup() as producers:
            for sensor in sensors:
                producers.create_task(produce(sensor, queue))
    finally:
        await queue.put(END)


async def report(sensors):
    queue = asyncio.Queue(CAPACITY)
    producing = asyncio.create_task(produce_all(sensors, queue))
    while (message := await queue.get()) is not END:
        name, reading = message
        if isinstance(reading, Unplugged):
            print(f"{name} failed: {type(reading).__name__}")
        else:
            print(f"{name}: {reading}")
        await asyncio.sleep(0.3)
    await producing
    print("All producers are done")


async def main():
    print("Three producers, and the consumer is the slowest:")
    await report([("north", 0.1), ("east", 0.25), ("south", 0.55)])

    print("A producer that panics:")
    try:
        await report([("west", 0.1)])
    except* RuntimeError as group:
        for error in group.exceptions:
            print(f"failed: {error}")


asyncio.run(main())
