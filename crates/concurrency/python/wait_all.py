import asyncio


async def task(name, delay):
    await asyncio.sleep(delay)
    if name == "Task-2":
        raise ValueError(f"{name} failed")
    return f"{name} completed"


async def wait(tasks, timeout=None):
    """Calls `asyncio.wait`, which leaves the tasks alone if it is cancelled itself."""
    try:
        return await asyncio.wait(tasks, timeout=timeout)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        # Retrieves the exceptions, too.
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def print_outcome(ended):
    if error := ended.exception():
        print(f"Error: {error}")
    else:
        print(ended.result())


async def main():
    limit = 0.25

    print("Until all have ended:")
    jobs = [("Task-1", 0.2), ("Task-2", 0.1), ("Task-3", 0.3)]
    tasks = [asyncio.create_task(task(*job)) for job in jobs]
    done, pending = await wait(tasks)
    # `done` is a set, in no order.
    for ended in tasks:
        print_outcome(ended)

    print("For 0.25 s at most:")
    jobs = [("Task-1", 0.1), ("Task-2", 0.2), ("Task-3", 0.3)]
    tasks = [asyncio.create_task(task(*job)) for job in jobs]
    done, pending = await wait(tasks, timeout=limit)
    for ended in tasks:
        if ended in done:
            print_outcome(ended)
    print(f"{len(pending)} pending")
    await wait(pending)
    for ended in tasks:
        if ended in pending:
            print_outcome(ended)

    print("All results or none:")
    tasks = [task(*job) for job in jobs]
    try:
        async with asyncio.timeout(limit):
            print(await asyncio.gather(*tasks, return_exceptions=True))
    except TimeoutError:
        print("Out of time")


asyncio.run(main())
