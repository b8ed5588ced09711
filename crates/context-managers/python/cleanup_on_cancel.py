import asyncio
from contextlib import contextmanager


# The loop itself keeps only weak references to tasks.
background = set()


def in_background(coro):
    task = asyncio.create_task(coro)
    background.add(task)
    task.add_done_callback(background.discard)
    return task


@contextmanager
def open_file(job):
    try:
        yield
    finally:
        print(f"{job}: file closed")


class BuildError(Exception):
    pass


async def build(job):
    with open_file(job):
        await asyncio.sleep(0.2)
        raise BuildError(f"{job} failed")


async def remove_folder(job):
    print(f"{job}: removing the folder")
    await asyncio.sleep(0.2)
    print(f"{job}: removed")


async def followed_by_clean_up(job):
    try:
        try:
            await build(job)
        finally:
            await remove_folder(job)
    except BuildError as error:
        print(error)


async def build_and_clean_up(job):
    try:
        try:
            await build(job)
        finally:
            # A second cancel ends the waiting, and not the task.
            await asyncio.shield(in_background(remove_folder(job)))
    except BuildError as error:
        print(error)


async def cancel(task, times):
    """Cancels the task after 0.1 s, `times` times."""
    await asyncio.sleep(0.1)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0.05)
    await asyncio.wait([task])
    if task.cancelled():
        print("the task is cancelled")
    await asyncio.sleep(0.3)


class Stop(Exception):
    pass


async def main():
    print("The clean-up follows the body, which fails:")
    await followed_by_clean_up("A")

    print("The clean-up follows, and the task is cancelled:")
    await cancel(asyncio.create_task(followed_by_clean_up("B")), 1)

    print("The clean-up follows, and the task is cancelled twice:")
    await cancel(asyncio.create_task(followed_by_clean_up("C")), 2)

    print("The clean-up has a task of its own, and the body fails:")
    await build_and_clean_up("D")

    print("The clean-up has its own task; the caller is cancelled twice:")
    await cancel(asyncio.create_task(build_and_clean_up("E")), 2)

    print("The clean-up has its own task; the body's group is cancelled:")
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(build_and_clean_up("F"))
            await asyncio.sleep(0.1)
            raise Stop
    except* Stop:
        await asyncio.sleep(0.3)

    print("The program ends during the clean-up:")
    task = asyncio.create_task(build_and_clean_up("G"))
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.wait([task])
    await asyncio.gather(*background)
    print("all is clean")


asyncio.run(main())
