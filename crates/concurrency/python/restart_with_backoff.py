import asyncio
from dataclasses import dataclass


@dataclass(frozen=True)
class RestartPolicy:
    max_restarts: int
    within: float
    initial_backoff: float
    max_backoff: float

    def backoff(self, restart):
        return min(self.initial_backoff * 2**restart, self.max_backoff)


async def restart_with_backoff(policy, start, report):
    loop = asyncio.get_running_loop()
    restarts = []
    while True:
        try:
            return await start()
        except Exception as error:
            now = loop.time()
            restarts = [time for time in restarts if now - time < policy.within]
            if len(restarts) >= policy.max_restarts:
                raise
            pause = policy.backoff(len(restarts))
            report(error, pause)
            restarts.append(now)
        await asyncio.sleep(pause)


async def read_feed(run, seconds):
    print(f"Run {run} begins")
    await asyncio.sleep(seconds)
    raise ConnectionError(f"run {run} lost its connection")


async def main():
    policy = RestartPolicy(max_restarts=3, within=2, initial_backoff=0.1, max_backoff=0.3)
    # The third run is long, so the first failures are then out of the window.
    runs = enumerate([0.1, 0.1, 2, 0.1, 0.1, 0.1], 1)

    def report(error, pause):
        print(f"Failed: {error}; again in {pause * 1000:.0f}ms")

    try:
        await restart_with_backoff(policy, lambda: read_feed(*next(runs)), report)
    except ConnectionError as error:
        print(f"Gave up: {error}")


asyncio.run(main())
