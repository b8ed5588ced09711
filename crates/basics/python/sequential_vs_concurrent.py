import asyncio


async def step(name, delay):
    print(f"{name}: Starting")
    await asyncio.sleep(delay)
    print(f"{name}: Done")
    return f"Result {name}"


async def failing_step(name, delay):
    print(f"{name}: Starting")
    await asyncio.sleep(delay)
    raise ValueError(f"{name} has failed")


async def main():
    short = 0.5
    long = 0.8

    print("Awaits in a row:")
    first = step("A", short)
    second = step("B", long)
    first = await first
    second = await second
    print(f"{first}, {second}")

    print("At the same time:")
    first, second = await asyncio.gather(step("A", long), step("B", short))
    print(f"{first}, {second}")

    print("A whole list at the same time:")
    delays = [("A", 0.3), ("B", 0.1), ("C", 0.2)]
    steps = [step(name, delay) for name, delay in delays]
    results = await asyncio.gather(*steps)
    print(", ".join(results))

    print("At the same time, and one of them fails:")
    try:
        async with asyncio.TaskGroup() as group:
            first = group.create_task(step("A", long))
            second = group.create_task(failing_step("B", short))
        print(f"{first.result()}, {second.result()}")
    except* ValueError as errors:
        for error in errors.exceptions:
            print(f"Error: {error}")

    print("A task:")
    task = asyncio.create_task(step("A", short))
    await asyncio.sleep(0.3)
    print("The task is already running")
    result = await task
    print(result)


asyncio.run(main())
