import asyncio
import math
from itertools import count

# Between the priority and the job, so that a tie never compares the jobs.
arrivals = count()


async def work(jobs):
    while True:
        priority, _, job = await jobs.get()
        if priority == math.inf:
            break
        print(f"{job} (priority {priority})")
        await asyncio.sleep(0.1)
    print("No more work")


async def submit(jobs, priority, job):
    await jobs.put((priority, next(arrivals), job))
    print(f"Accepted: {job}")


async def close(jobs):
    # Less urgent than everything else, so what waits is done before.
    await jobs.put((math.inf, next(arrivals), None))


async def main():
    print("The most urgent first, ties in order of arrival:")
    jobs = asyncio.PriorityQueue()
    await submit(jobs, 2, "write the report")
    await submit(jobs, 3, "tidy up")
    await submit(jobs, 1, "put the fire out")
    await submit(jobs, 2, "answer the mail")
    worker = asyncio.create_task(work(jobs))
    await asyncio.sleep(0.15)
    await submit(jobs, 1, "call for help")
    await close(jobs)
    await worker

    print("A full queue, where the urgent job waits its turn to come in:")
    jobs = asyncio.PriorityQueue(2)
    await submit(jobs, 2, "write the report")
    await submit(jobs, 3, "tidy up")
    later = asyncio.create_task(submit(jobs, 4, "read the news"))
    await asyncio.sleep(0.05)
    urgent = asyncio.create_task(submit(jobs, 1, "put the fire out"))
    await asyncio.sleep(0.05)
    print(f"{jobs.qsize()} jobs wait inside")
    worker = asyncio.create_task(work(jobs))
    await later
    await urgent
    await close(jobs)
    await worker

    print("The newest first:")
    stack = asyncio.LifoQueue()
    for page in ["home", "news", "sport"]:
        await stack.put(page)
    while not stack.empty():
        print(f"back to {await stack.get()}")


asyncio.run(main())
