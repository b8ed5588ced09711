import asyncio
import time
from contextlib import contextmanager


@contextmanager
def file():
    try:
        yield
    finally:
        time.sleep(0.1)
        print("The file is closed")


async def write():
    with file():
        for line in range(1, 5):
            await asyncio.sleep(0.1)
            print(f"Line {line}")


async def fail():
    await asyncio.sleep(0.25)
    raise OSError("The disk is full")


async def main():
    # Leaving the group always waits.
    print("A group of tasks is left:")
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(write())
            tasks.create_task(fail())
    except* OSError as group:
        for error in group.exceptions:
            print(f"Error: {error}")


asyncio.run(main())
