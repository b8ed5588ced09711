import asyncio
import sys
from itertools import count

if sys.version_info >= (3, 13):
    from asyncio import PriorityQueue, QueueShutDown
else:

    class QueueShutDown(Exception):
        pass

    class PriorityQueue(asyncio.PriorityQueue):
        """Adds the `shutdown` of Python 3.13, as far as it is used here."""

        is_shut_down = False

        def shutdown(self):
            self.is_shut_down = True
            while self._getters:
                self._wakeup_next(self._getters)

        def empty(self):
            # So that a waiting `get` goes on to `get_nowait`.
            return not self.is_shut_down and super().empty()

        def get_nowait(self):
            if self.is_shut_down and not self.qsize():
                raise QueueShutDown
            return super().get_nowait()


# Between the priority and the job, so that a tie never compares the jobs.
arrivals = count()


async def work(jobs):
    try:
        while True:
            priority, _, job = await jobs.get()
            print(f"{job} (priority {priority})")
            await asyncio.sleep(0.1)
    except QueueShutDown:
        print("No more work")


async def submit(jobs, priority, job):
    await jobs.put((priority, next(arrivals), job))
    print(f"Accepted: {job}")


async def main():
    print("The most urgent first, ties in order of arrival:")
    jobs = PriorityQueue()
    await submit(jobs, 2, "write the report")
    await submit(jobs, 3, "tidy up")
    await submit(jobs, 1, "put the fire out")
    await submit(jobs, 2, "answer the mail")
    async with asyncio.TaskGroup() as group:
        group.create_task(work(jobs))
        await asyncio.sleep(0.15)
        await submit(jobs, 1, "call for help")
        jobs.shutdown()

    print("A full queue, where the urgent job waits behind an earlier one for a place:")
    jobs = PriorityQueue(2)
    await submit(jobs, 2, "write the report")
    await submit(jobs, 3, "tidy up")
    async with asyncio.TaskGroup() as group:
        later = group.create_task(submit(jobs, 4, "read the news"))
        await asyncio.sleep(0.05)
        urgent = group.create_task(submit(jobs, 1, "put the fire out"))
        await asyncio.sleep(0.05)
        print(f"{jobs.qsize()} jobs wait inside")
        group.create_task(work(jobs))
        await later
        await urgent
        jobs.shutdown()

    print("Two workers, which both end:")
    jobs = PriorityQueue()
    async with asyncio.TaskGroup() as group:
        group.create_task(work(jobs))
        await asyncio.sleep(0.05)
        group.create_task(work(jobs))
        await submit(jobs, 1, "put the fire out")
        await asyncio.sleep(0.1)
        jobs.shutdown()

    print("The newest first:")
    stack = asyncio.LifoQueue()
    for page in ["home", "news", "sport"]:
        await stack.put(page)
    while not stack.empty():
        print(f"back to {stack.get_nowait()}")


asyncio.run(main())
