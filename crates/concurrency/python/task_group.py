import asyncio


class WorkerError(Exception):
    pass


async def worker(name, delay, should_fail=False):
    try:
        await asyncio.sleep(delay)
        if should_fail:
            raise WorkerError(f"Worker {name} failed")
        return f"Success: {name}"
    finally:
        print(f"{name}: cleaned up")


def report(group):
    errors = "; ".join(str(error) for error in group.exceptions)
    print(f"{len(group.exceptions)} failed: {errors}")


async def main():
    print("All succeed:")
    async with asyncio.TaskGroup() as group:
        task1 = group.create_task(worker("A", 0.2))
        task2 = group.create_task(worker("B", 0.1))
    print(f"{task1.result()}, {task2.result()}")

    print("A task fails:")
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(worker("A", 0.1))
            group.create_task(worker("B", 1))
            task3 = group.create_task(worker("C", 0.2, should_fail=True))
            text = await task3
            print(f"Not reached, as the body is stopped too: {text}")
    except* WorkerError as errors:
        report(errors)

    print("The body fails:")
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(worker("D", 1))
            await asyncio.sleep(0.1)
            raise WorkerError("The body failed")
    except* WorkerError as errors:
        report(errors)


asyncio.run(main())
