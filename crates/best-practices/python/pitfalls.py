import asyncio

STEP = 0.1


class Counter:
    def __init__(self):
        self.count = 0


async def save(saved):
    await asyncio.sleep(STEP)
    saved.count += 1


async def work(job):
    """Takes too long with each second job."""
    await asyncio.sleep(3 * STEP if job % 2 == 0 else STEP / 2)


async def timeout_for_both(jobs):
    """The mistake: the cancellation loses the job that was received."""
    finished = []
    while not jobs.empty():
        try:
            async with asyncio.timeout(STEP):
                job = await jobs.get()
                await work(job)
                finished.append(job)
        except TimeoutError:
            pass
    return finished


async def timeout_for_work(jobs):
    finished, late = [], []
    while not jobs.empty():
        job = await jobs.get()
        try:
            async with asyncio.timeout(STEP):
                await work(job)
            finished.append(job)
        except TimeoutError:
            late.append(job)
    return finished, late


def three_jobs():
    jobs = asyncio.Queue()
    for job in range(1, 4):
        jobs.put_nowait(job)
    return jobs


async def main():
    print("A forgotten await:")
    saved = Counter()
    forgotten = save(saved)
    await asyncio.sleep(2 * STEP)
    print(f"saved {saved.count}")
    forgotten.close()  # or Python warns that it was never awaited
    print("With the await:")
    await save(saved)
    print(f"saved {saved.count}")

    print("A timeout around receiving a job and working on it:")
    print(f"finished {await timeout_for_both(three_jobs())}")
    print("A timeout around the work alone:")
    finished, late = await timeout_for_work(three_jobs())
    print(f"finished {finished}, late {late}")


asyncio.run(main())
