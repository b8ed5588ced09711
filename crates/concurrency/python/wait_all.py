import asyncio


async def task(name, seconds):
    await asyncio.sleep(seconds)
    if name == "Task-2":
        raise ValueError(f"{name} failed")
    return f"{name} completed"


def describe(ended):
    if error := ended.exception():
        return f"Error: {error}"
    return ended.result()


async def main():
    jobs = [("Task-1", 2), ("Task-2", 1), ("Task-3", 3)]
    tasks = [asyncio.create_task(task(*job)) for job in jobs]
    try:
        await asyncio.wait(tasks)
    except asyncio.CancelledError:
        # `wait` leaves its tasks alone when it is cancelled.
        for ended in tasks:
            ended.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    for ended in tasks:
        print(describe(ended))


asyncio.run(main())
