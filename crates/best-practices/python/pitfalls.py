import asyncio
import time

STEP = 0.1


class Counter:
    def __init__(self):
        self.count = 0
        self.lock = asyncio.Lock()


async def save(saved):
    await asyncio.sleep(STEP)
    saved.count += 1


async def read_and_block():
    time.sleep(STEP)


async def read():
    await asyncio.sleep(STEP)


async def work(job):
    """The second takes longer than the limit."""
    await asyncio.sleep(3 * STEP if job == 2 else STEP / 2)


async def take_and_work(jobs):
    """The limit drops the job with the work."""
    done = []
    while not jobs.empty():
        try:
            async with asyncio.timeout(STEP):
                job = await jobs.get()
                await work(job)
                done.append(job)
        except TimeoutError:
            pass
    return done


async def take_then_work(jobs):
    """Only the work can be dropped."""
    done, again = [], []
    while not jobs.empty():
        job = await jobs.get()
        try:
            async with asyncio.timeout(STEP):
                await work(job)
            done.append(job)
        except TimeoutError:
            again.append(job)
    return done, again


def three_jobs():
    jobs = asyncio.Queue()
    for job in range(1, 4):
        jobs.put_nowait(job)
    return jobs


class Server:
    """Takes five requests at a time, and refuses more."""

    def __init__(self):
        self.open = 0

    async def answer(self, request):
        """Whether it was answered. The third takes longer."""
        answers = self.open < 5
        self.open += 1
        if answers:
            await asyncio.sleep(3 * STEP if request == 3 else STEP)
        self.open -= 1
        return answers


def report(answers):
    print(f"answered {answers.count(True)}, refused {answers.count(False)}")


async def increment(counter):
    """Another may have written between the read and the write."""
    current = counter.count
    await asyncio.sleep(STEP)
    counter.count = current + 1


async def increment_locked(counter):
    async with counter.lock:
        current = counter.count
        await asyncio.sleep(STEP)
        counter.count = current + 1


async def event():
    await asyncio.sleep(STEP)


async def main():
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def part(number):
        await asyncio.sleep(start + 8 * STEP * number - loop.time())

    print("Forgotten await:")
    saved = Counter()
    forgotten = save(saved)
    await asyncio.sleep(2 * STEP)
    print(f"saved {saved.count}")
    forgotten.close()  # or Python warns that it was never awaited
    print("Awaited:")
    await save(saved)
    print(f"saved {saved.count}")

    await part(1)
    print("Three that block, together:")
    await asyncio.gather(*[read_and_block() for _ in range(3)])
    print("Three that await:")
    await asyncio.gather(*[read() for _ in range(3)])
    print("read")

    await part(2)
    print("A limit around taking a job and doing it:")
    print(f"done {await take_and_work(three_jobs())}")
    print("Around doing it:")
    done, again = await take_then_work(three_jobs())
    print(f"done {done}, again {again}")

    await part(3)
    server = Server()
    print("Twelve requests at once:")
    report(await asyncio.gather(*map(server.answer, range(1, 13))))

    await part(4)
    print("Five at a time, in batches:")
    answers = []
    for batch in (range(1, 6), range(6, 11), range(11, 13)):
        answers += await asyncio.gather(*map(server.answer, batch))
    report(answers)

    await part(5)
    print("Five at a time, the next as soon as one has ended:")
    limit = asyncio.Semaphore(5)

    async def answer(request):
        async with limit:
            return await server.answer(request)

    report(await asyncio.gather(*map(answer, range(1, 13))))

    await part(6)
    print("Three read a count, wait, and write it:")
    counter = Counter()
    await asyncio.gather(*[increment(counter) for _ in range(3)])
    print(f"count {counter.count}")
    print("With a lock:")
    counter = Counter()
    await asyncio.gather(*[increment_locked(counter) for _ in range(3)])
    print(f"count {counter.count}")

    await part(7)
    limit = 2.5 * STEP
    print("A limit of 0.25 s in each turn of a loop:")
    events = 0
    while events < 4:
        async with asyncio.timeout(limit):
            await event()
        events += 1
    print(f"events {events}")
    print("Around the loop:")
    events = 0
    try:
        async with asyncio.timeout(limit):
            while events < 4:
                await event()
                events += 1
    except TimeoutError:
        pass
    print(f"events {events}")


asyncio.run(main())
