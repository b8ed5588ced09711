import asyncio

STEP = 0.1


class Counter:
    def __init__(self):
        self.count = 0
        self.lock = asyncio.Lock()


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


class Server:
    """Answers five requests at a time, and refuses the others."""

    def __init__(self):
        self.open = 0

    async def request(self):
        answered = self.open < 5
        self.open += 1
        await asyncio.sleep(STEP if answered else 0)
        self.open -= 1
        return answered


def print_answered(answers):
    print(f"answered {answers.count(True)} of {len(answers)}")


async def increment(counter):
    """The mistake: another task may write between the read and the write."""
    current = counter.count
    await asyncio.sleep(STEP)
    counter.count = current + 1


async def increment_locked(counter):
    async with counter.lock:
        current = counter.count
        await asyncio.sleep(STEP)
        counter.count = current + 1


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

    server = Server()
    print("Twelve requests at once:")
    print_answered(await asyncio.gather(*[server.request() for _ in range(12)]))
    print("Five at a time:")
    limit = asyncio.Semaphore(5)

    async def limited():
        async with limit:
            return await server.request()

    print_answered(await asyncio.gather(*[limited() for _ in range(12)]))

    print("Three tasks read a count, wait, and write it:")
    counter = Counter()
    await asyncio.gather(*[increment(counter) for _ in range(3)])
    print(f"count {counter.count}")
    print("With a lock:")
    counter = Counter()
    await asyncio.gather(*[increment_locked(counter) for _ in range(3)])
    print(f"count {counter.count}")


asyncio.run(main())
