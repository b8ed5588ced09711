import asyncio
from dataclasses import dataclass


@dataclass(frozen=True)
class Restarts:
    limit: int
    pause: float
    longest_pause: float
    good_run: float

    def pause_after(self, restarts):
        return min(self.pause * 2**restarts, self.longest_pause)


class ServiceError(Exception):
    """What a service fails with; any other exception is a crash."""


def describe(failure):
    kind = "failed" if isinstance(failure, ServiceError) else "crashed"
    return f"{kind}: {failure}"


class Supervisor:
    """Runs services in tasks, restarts those that fail, and stops them all."""

    def __init__(self, restarts, log):
        self._restarts = restarts
        self._log = log
        self._stop = asyncio.Event()
        self._services = {}
        self._ended = asyncio.Queue()

    def start(self, name, service):
        """Starts a service: a coroutine function, called once for each run."""
        if name in self._services:
            raise ValueError(f"there is a service named {name} already")
        task = asyncio.create_task(self._supervise(name, service), name=name)
        task.add_done_callback(self._ended.put_nowait)
        self._services[name] = task

    async def next(self):
        """Waits for the next service that ends for good."""
        if not self._services:
            return None
        task = await self._ended.get()
        del self._services[task.get_name()]
        return task

    async def stop(self, grace):
        self._stop.set()
        ends = []
        try:
            async with asyncio.timeout(grace):
                await self._wait(ends)
        except TimeoutError:
            for task in self._services.values():
                task.cancel()
            await self._wait(ends)
        return ends

    async def _wait(self, ends):
        while (task := await self.next()) is not None:
            ends.append(task)

    async def _supervise(self, name, service):
        loop = asyncio.get_running_loop()
        in_a_row = 0
        while True:
            begun = loop.time()
            try:
                return await service(self._stop)
            except Exception as error:
                failure = error
            if loop.time() - begun >= self._restarts.good_run:
                in_a_row = 0
            if in_a_row == self._restarts.limit or self._stop.is_set():
                raise failure
            pause = self._restarts.pause_after(in_a_row)
            self._log(name, failure, pause)
            try:
                async with asyncio.timeout(pause):
                    await self._stop.wait()
                raise failure
            except TimeoutError:
                in_a_row += 1


async def ticks(period, stop):
    """Yields at once and after each period, until it is time to stop."""
    due = asyncio.get_running_loop().time()
    while not stop.is_set():
        yield
        due += period
        try:
            async with asyncio.timeout_at(due):
                await stop.wait()
        except TimeoutError:
            pass


async def metrics(stop):
    requests = 0
    async for _ in ticks(0.2, stop):
        requests += 5
        print(f"metrics: {requests} requests")
    print("metrics: saving")
    await asyncio.sleep(0.1)
    print(f"metrics: {requests} saved")


async def health_check(stop):
    check = 0
    async for _ in ticks(0.3, stop):
        check += 1
        print(f"health check {check} begins")
        await asyncio.sleep(0.1)
        print(f"health check {check} completed")


async def mailer(stop):
    mail = 0
    async for _ in ticks(0.1, stop):
        mail += 1
        assert mail < 3, f"no template for mail {mail}"
        print(f"mail {mail} sent")


async def exporter(stop):
    await asyncio.sleep(0.1)
    raise ServiceError("connection refused")


async def poller(stop):
    while True:
        await asyncio.sleep(1)
        print("polled")


def report(task):
    name = task.get_name()
    if task.cancelled():
        print(f"{name} was aborted")
    elif failure := task.exception():
        print(f"{name} is down: it {describe(failure)}")
    else:
        print(f"{name} is done")


async def main():
    restarts = Restarts(limit=3, pause=0.1, longest_pause=0.3, good_run=0.15)

    def log(name, failure, pause):
        print(f"{name} {describe(failure)}; again in {pause * 1000:.0f}ms")

    grace = 0.2
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def part(begin):
        # Each part begins at its time, however late the one before it ended.
        await asyncio.sleep(start + begin - loop.time())

    print("Nobody supervises it:")
    task = asyncio.create_task(mailer(asyncio.Event()))
    await part(0.5)
    print("no mail for a while, and nobody knows why")
    del task

    print("Two services, stopped in the middle of a check:")
    supervisor = Supervisor(restarts, log)
    supervisor.start("metrics", metrics)
    await asyncio.sleep(0.05)
    supervisor.start("health check", health_check)
    await asyncio.sleep(0.65)
    print("stopping")
    for end in await supervisor.stop(grace):
        report(end)

    await part(1.5)
    print("One fails each time, one crashes after a good run:")
    supervisor = Supervisor(restarts, log)
    supervisor.start("exporter", exporter)
    await asyncio.sleep(0.05)
    supervisor.start("mailer", mailer)
    report(await supervisor.next())
    await asyncio.sleep(0.1)
    print("stopping")
    for end in await supervisor.stop(grace):
        report(end)

    await part(3)
    print("Stop while one service waits for its restart and one ignores the token:")
    supervisor = Supervisor(restarts, log)
    supervisor.start("exporter", exporter)
    supervisor.start("poller", poller)
    await asyncio.sleep(0.15)
    print("stopping")
    for end in await supervisor.stop(grace / 2):
        report(end)


asyncio.run(main())
