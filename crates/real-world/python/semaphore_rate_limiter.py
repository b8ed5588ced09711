import asyncio


class RateLimiter:
    """A strict rate limit: at most so many calls in any window of that length."""

    def __init__(self, limit, window):
        if limit < 1 or window <= 0:
            raise ValueError("neither may be zero")
        self.permits = asyncio.Semaphore(limit)
        self.window = window

    async def acquire(self):
        await self.permits.acquire()
        asyncio.get_running_loop().call_later(self.window, self.permits.release)

    async def try_acquire(self):
        if self.permits.locked():
            return False
        await self.acquire()
        return True


async def hold_while_it_runs(name, permits):
    """It limits how many run at once, and nothing else."""
    async with permits:
        print(f"call {name}")
        await asyncio.sleep(0.1)


async def refill(permits, limit, period):
    """The trap: all permits come back when the period ends."""
    await asyncio.sleep(period)
    for _ in range(limit):
        permits.release()


async def call(name, permits):
    await permits.acquire()
    print(f"call {name}")


async def gives_up(name, limiter):
    try:
        async with asyncio.timeout(0.1):
            await call(name, limiter)
    except TimeoutError:
        print(f"call {name} gave up")


async def main():
    limit = 2
    window = 0.5
    late = 0.4

    print("A permit while the call runs, of 2:")
    permits = asyncio.Semaphore(limit)
    await asyncio.gather(*(hold_while_it_runs(name, permits) for name in range(1, 6)))

    print("All permits come back each 0.5 s, the calls come after 0.4 s:")
    permits = asyncio.Semaphore(limit)
    async with asyncio.TaskGroup() as group:
        group.create_task(refill(permits, limit, window))
        await asyncio.sleep(late)
        await asyncio.gather(*(call(name, permits) for name in range(1, 5)))

    print("Each permit comes back 0.5 s after it was taken:")
    limiter = RateLimiter(limit, window)
    await asyncio.sleep(late)
    await asyncio.gather(*(call(name, limiter) for name in range(1, 6)))

    print("A caller that gives up does not count:")
    await asyncio.gather(call(6, limiter), gives_up(7, limiter), call(8, limiter))

    await asyncio.sleep(0.1)
    print("Without waiting:")
    for name in (9, 10):
        if await limiter.try_acquire():
            print(f"call {name}")
        else:
            print(f"call {name}: no permits available")


asyncio.run(main())
