import asyncio


async def worker(name, delay, should_fail=False):
    await asyncio.sleep(delay)
    if should_fail:
        raise ValueError(f"Worker {name} failed")
    return f"Success: {name}"


async def main():
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(worker("A", 0.1)),
                group.create_task(worker("B", 0.3)),
                group.create_task(worker("C", 0.2, should_fail=True)),
            ]
        values = [task.result() for task in tasks]
        print(f"All tasks completed: {', '.join(values)}")
    except* ValueError as errors:
        for error in errors.exceptions:
            print(f"Error: {error}")


asyncio.run(main())
