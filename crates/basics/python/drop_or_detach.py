import asyncio

LIMIT = 0.25
REST = 0.2

# asyncio itself keeps only weak references to tasks.
background = set()


def start_and_forget(coroutine):
    task = asyncio.create_task(coroutine)
    background.add(task)
    task.add_done_callback(background.discard)


async def count():
    for step in range(1, 5):
        await asyncio.sleep(0.1)
        print(f"Step {step}")


async def main():
    print("A handle is dropped:")
    start_and_forget(count())
    await asyncio.sleep(LIMIT + REST)

    print("A task is aborted:")
    task = asyncio.create_task(count())
    await asyncio.sleep(LIMIT)
    task.cancel()
    await asyncio.wait([task])
    if task.cancelled():
        print("The task is cancelled")
    await asyncio.sleep(REST)

    print("A handle that aborts is dropped at the end of a block:")
    task = asyncio.create_task(count())
    try:
        await asyncio.sleep(LIMIT)
    finally:
        task.cancel()
    await asyncio.sleep(REST)

    print("A timeout around a handle:")
    task = asyncio.create_task(count())
    try:
        async with asyncio.timeout(LIMIT):
            await task
    except TimeoutError:
        print("Timed out")
    await asyncio.sleep(REST)

    print("A timeout around a handle, and the task runs on:")
    task = asyncio.create_task(count())
    try:
        async with asyncio.timeout(LIMIT):
            await asyncio.shield(task)
    except TimeoutError:
        print("Timed out")
    await asyncio.sleep(REST)
    print("The end")


asyncio.run(main())
