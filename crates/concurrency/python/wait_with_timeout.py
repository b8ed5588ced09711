import asyncio


async def task(name, delay):
    await asyncio.sleep(delay)
    if name == "2":
        raise ValueError(f"Task-{name} failed")
    return f"Task-{name} completed"


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
    jobs = [("1", 0.1), ("2", 0.2), ("3", 0.3)]
    tasks = [asyncio.create_task(task(*job)) for job in jobs]
    print("For 0.25 s at most:")
    done, pending = await wait(tasks, timeout=0.25)
    # `done` is a set, in no order.
    for ended in tasks:
        if ended in done:
            print_outcome(ended)
    print(f"{len(pending)} pending")
    await wait(pending)
    for ended in tasks:
        if ended in pending:
            print_outcome(ended)


asyncio.run(main())
