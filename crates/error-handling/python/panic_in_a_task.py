import asyncio
from collections import deque


class GaveUp(Exception):
    pass


async def supervise(restarts, pause, start):
    panics = 0
    while True:
        try:
            return await asyncio.create_task(start())
        except Exception as error:
            panics += 1
            if panics > restarts:
                raise GaveUp(f"gave up after {panics} panics") from error
        await asyncio.sleep(pause)


async def work(job):
    await asyncio.sleep(0.1)
    assert job > 0, f"job {job} has no work"
    print(f"job {job} is done")


async def worker(jobs):
    print("a worker begins")
    while jobs:
        await work(jobs.popleft())


async def report(task):
    await asyncio.wait([task])
    if task.cancelled():
        print("was cancelled")
    elif bug := task.exception():
        print(f"ended by a bug: {bug}")
    else:
        print("ended well")


async def main():
    print("Nobody awaits the task:")
    task = asyncio.create_task(work(0))
    await asyncio.sleep(0.2)
    print("0.2 s later")

    print("The task is awaited, and then one that was cancelled:")
    await report(asyncio.create_task(work(0)))
    task = asyncio.create_task(work(1))
    task.cancel()
    await report(task)

    print("The error is passed on to the caller, a task as well:")

    async def call():
        await asyncio.create_task(work(1))
        await asyncio.create_task(work(0))
        await asyncio.create_task(work(2))

    await report(asyncio.create_task(call()))

    pause = 0.2
    for numbers in [[1, 0, 2, 3], [0, 1, 0, 2]]:
        print(f"With one restart, the jobs {numbers}:")
        jobs = deque(numbers)
        try:
            await supervise(1, pause, lambda: worker(jobs))
            print("all jobs are taken")
        except GaveUp as error:
            print(f"{error}; jobs left: {len(jobs)}")
            print(f"ended by a bug: {error.__cause__}")


asyncio.run(main())
