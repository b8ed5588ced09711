import asyncio


async def long_running_task():
    for step in range(5):
        await asyncio.sleep(0.2)
        print(f"Step {step}")
    return "Completed"


async def sleep_long():
    await asyncio.sleep(3600)
    return "Awake"


def state(task):
    return "done" if task.done() else "running"


async def main():
    task = asyncio.create_task(long_running_task())
    print(f"At once: {state(task)}")
    await asyncio.sleep(0.5)
    print(f"After half a second: {state(task)}")
    await asyncio.sleep(0.6)
    print(f"In the end: {state(task)}")
    result = await task
    print(f"Final result: {result}")

    print("Two tasks by name, and one of them is cancelled:")
    worker = asyncio.create_task(long_running_task(), name="worker")
    sleeper = asyncio.create_task(sleep_long(), name="sleeper")
    await asyncio.sleep(0.5)
    sleeper.cancel()
    worker.set_name("the only worker")
    for task in [sleeper, worker]:
        name = task.get_name()
        await asyncio.wait([task])
        if task.cancelled():
            print(f"{name}: cancelled")
        else:
            print(f"{name}: {task.result()}")


asyncio.run(main())
