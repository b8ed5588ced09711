import asyncio
from contextlib import contextmanager

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


async def fail():
    await asyncio.sleep(LIMIT)
    raise OSError("The disk is full")


@contextmanager
def file():
    try:
        yield
    finally:
        print("The file is closed")


async def count_into_file():
    with file():
        await count()


# Leaving the group always waits, so there is no second version of this.
async def count_or_fail():
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(count_into_file())
        tasks.create_task(fail())


async def count_and_clean_up():
    try:
        await count()
    finally:
        await asyncio.sleep(0.1)
        print("Cleaned up")


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

    print("A set of tasks is dropped by an early return:")
    try:
        await count_or_fail()
    except* OSError as group:
        for error in group.exceptions:
            print(f"Error: {error}")
    await asyncio.sleep(REST)

    print("A set of tasks is shut down before the return:")
    try:
        await count_or_fail()
    except* OSError as group:
        for error in group.exceptions:
            print(f"Error: {error}")
    await asyncio.sleep(REST)

    print("A task is asked to stop:")
    task = asyncio.create_task(count_and_clean_up())
    await asyncio.sleep(LIMIT)
    task.cancel()
    await asyncio.wait([task])

    print("A time limit around a handle:")
    try:
        async with asyncio.timeout(LIMIT):
            await asyncio.create_task(count())
    except TimeoutError:
        print("Time is up")
    await asyncio.sleep(REST)

    print("A time limit around a handle that aborts:")
    # The same again: in asyncio the limit cancels the task that it waits for.
    try:
        async with asyncio.timeout(LIMIT):
            await asyncio.create_task(count())
    except TimeoutError:
        print("Time is up")
    await asyncio.sleep(REST)
    print("The end")


asyncio.run(main())
