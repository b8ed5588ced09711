import asyncio
from itertools import islice

JOBS = [(1, 0.35), (2, 0.2), (3, 0.2), (4, 0.35), (5, 0.25)]


async def jobs(count):
    for job in islice(JOBS, count):
        await asyncio.sleep(0.1)
        yield job


async def work(worker, job):
    number, seconds = job
    print(f"{worker} begins {number}")
    await asyncio.sleep(seconds)
    print(f"{worker} has done {number}")


async def worker(name, jobs, lock):
    while True:
        async with lock:
            job = await anext(jobs, None)
        if job is None:
            break
        await work(name, job)
    print(f"{name} goes home")


async def greedy_worker(name, jobs, lock):
    while True:
        async with lock:
            job = await anext(jobs, None)
            if job is None:
                break
            await work(name, job)


async def main():
    print("Two workers:")
    five, lock = jobs(5), asyncio.Lock()
    async with asyncio.TaskGroup() as workers:
        for name in ["Ada", "Bob"]:
            workers.create_task(worker(name, five, lock))
            # Ada is the first to ask.
            await asyncio.sleep(0.05)

    print("Two that hold the lock while they work:")
    two, lock = jobs(2), asyncio.Lock()
    async with asyncio.TaskGroup() as workers:
        for name in ["Ada", "Bob"]:
            workers.create_task(greedy_worker(name, two, lock))
            await asyncio.sleep(0.05)
    print("all done")


asyncio.run(main())
