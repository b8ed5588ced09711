import asyncio
import dataclasses


def burst(due, now, period):
    return due + period


def delay(due, now, period):
    return now + period


def skip(due, now, period):
    due += period
    while due <= now:
        due += period
    return due


class JobError(Exception):
    pass


class NameTaken(Exception):
    pass


@dataclasses.dataclass
class Job:
    # Set for a run now, and for the stop.
    wake: asyncio.Event
    task: asyncio.Task | None = None
    stopped: bool = False

    def stop(self):
        self.stopped = True
        self.wake.set()


async def comes_before(event, due):
    try:
        async with asyncio.timeout_at(due):
            return await event.wait()
    except TimeoutError:
        return False


class Scheduler:
    """Runs jobs periodically, each in a task of its own."""

    def __init__(self, log):
        self._log = log
        self._jobs = {}

    def add(self, name, period, missed, job):
        if name in self._jobs and not self._jobs[name].task.done():
            raise NameTaken(f"there is a job named {name} already")
        self._jobs[name] = added = Job(asyncio.Event())
        added.task = asyncio.create_task(self._repeat(name, period, missed, job, added))

    def run_now(self, name):
        self._jobs[name].wake.set()

    async def _repeat(self, name, period, missed, run, job):
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            asked = await comes_before(job.wake, due)
            if job.stopped:
                return
            job.wake.clear()
            if not asked:
                due = missed(due, loop.time(), period)
            try:
                await run()
            except Exception as error:
                self._log(name, error)

    async def remove(self, name):
        """Waits until the run has ended, and tells whether there was such a job."""
        job = self._jobs.pop(name, None)
        if job is None:
            return False
        job.stop()
        await asyncio.wait([job.task])
        return True

    async def stop(self, grace):
        """Returns the names of the jobs whose runs did not end in time."""
        jobs, self._jobs = self._jobs, {}
        for job in jobs.values():
            job.stop()
        if jobs:
            await asyncio.wait([job.task for job in jobs.values()], timeout=grace)
        unfinished = {name: job for name, job in jobs.items() if not job.task.done()}
        for job in unfinished.values():
            job.task.cancel()
        return sorted(unfinished)


async def work(name, number, seconds):
    print(f"{name} {number} begins")
    await asyncio.sleep(seconds)
    print(f"{name} {number} is done")


async def send_mail(number):
    if number == 3:
        raise LookupError(f"no template for mail {number}")
    if number == 2:
        raise JobError("no address")
    print(f"mail {number} sent")


def log(name, error):
    failed = "failed" if isinstance(error, JobError) else "crashed"
    print(f"{name} {failed}: {error}")


def numbered(run):
    number = 0

    async def job():
        nonlocal number
        number += 1
        await run(number)

    return job


async def main():
    period = 0.2
    scheduler = Scheduler(log)

    for missed in (burst, delay, skip):
        name = missed.__name__.capitalize()
        print(f"{name}, each 200 ms, and the second run takes 450:")
        job = numbered(lambda n: work("report", n, 0.45 if n == 2 else 0.02))
        scheduler.add("report", period, missed, job)
        await asyncio.sleep(0.95)
        await scheduler.remove("report")

    print("A run that fails, one that crashes, and another job:")
    scheduler.add("mail", period, skip, numbered(send_mail))
    await asyncio.sleep(0.1)

    async def backup():
        print("backup")

    scheduler.add("backup", period, skip, backup)
    await asyncio.sleep(0.55)
    await scheduler.remove("mail")
    await scheduler.remove("backup")

    print("Run now, between two ticks:")
    scheduler.add("backup", period, skip, backup)
    await asyncio.sleep(0.1)
    scheduler.run_now("backup")
    await asyncio.sleep(0.15)
    await scheduler.remove("backup")

    print("Removed while it runs:")
    scheduler.add("report", period, skip, lambda: work("report", 1, 0.3))
    await asyncio.sleep(0.1)
    try:
        scheduler.add("report", period, skip, lambda: work("report", 2, 0.3))
    except NameTaken as error:
        print(error)
    for _ in range(2):
        if await scheduler.remove("report"):
            print("removed")
        else:
            print("there is no job named report")

    print("Stopped, with 200 ms for what runs:")
    scheduler.add("short", period, skip, lambda: work("short", 1, 0.35))
    await asyncio.sleep(0.1)
    scheduler.add("long", period, skip, lambda: work("long", 1, 5))
    await asyncio.sleep(0.15)
    unfinished = await scheduler.stop(0.2)
    print(f"aborted: {', '.join(unfinished)}")


asyncio.run(main())
