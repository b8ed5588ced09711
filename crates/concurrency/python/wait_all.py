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
    await asyncio.wait(tasks)
    for ended in tasks:
        print(describe(ended))


asyncio.run(main())
