import asyncio
from contextlib import contextmanager


async def with_clean_up(tasks, body, clean_up):
    try:
        return await body
    finally:
        # A second cancel ends the waiting, and not the task.
        await asyncio.shield(tasks.create_task(clean_up()))


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


async def build_and_clean_up(job, tasks):
    try:
        await with_clean_up(tasks, build(job), lambda: remove_folder(job))
    except BuildError as error:
        print(error)


async def abort(task, times):
    await asyncio.sleep(0.1)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0.05)
    await asyncio.wait([task])
    if task.cancelled():
        print("the task is cancelled")
    await asyncio.sleep(0.3)


async def main():
    print("The clean-up follows the body, which fails:")
    await followed_by_clean_up("A")

    print("It follows, and the task is aborted:")
    await abort(asyncio.create_task(followed_by_clean_up("B")), 1)

    print("It follows, and the task is aborted twice:")
    await abort(asyncio.create_task(followed_by_clean_up("C")), 2)

    async with asyncio.TaskGroup() as tasks:
        print("It has a task of its own, and the body fails:")
        await build_and_clean_up("D", tasks)

        print("It has its own, and the body's caller is aborted twice:")
        task = asyncio.create_task(build_and_clean_up("E", tasks))
        await abort(task, 2)

        print("The program ends while one is at work:")
        task = asyncio.create_task(build_and_clean_up("F", tasks))
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait([task])
    print("all is clean")


asyncio.run(main())
