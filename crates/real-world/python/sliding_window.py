import asyncio
from collections import deque


class SlidingWindow:
    """A strict rate limit: at most so many calls in any window of that length."""

    def __init__(self, limit, window):
        if limit < 1 or window <= 0:
            raise ValueError("neither may be zero")
        self.limit = limit
        self.window = window
        # The moments of the last calls, at most `limit`, oldest first.
        self.calls = deque()
        self.turn = asyncio.Lock()

    async def acquire(self):
        loop = asyncio.get_running_loop()
        async with self.turn:
            if len(self.calls) == self.limit:
                seconds = self.calls[0] + self.window - loop.time()
                if seconds > 0:
                    await asyncio.sleep(seconds)
                self.calls.popleft()
            self.calls.append(loop.time())

    def try_acquire(self):
        """Counts a call, or returns after how many seconds to retry."""
        if self.turn.locked():
            return self.window
        now = asyncio.get_running_loop().time()
        if len(self.calls) == self.limit:
            seconds = self.calls[0] + self.window - now
            if seconds > 0:
                return seconds
            self.calls.popleft()
        self.calls.append(now)
        return 0


async def ask_again(limiter):
    """The trap: it asks again while it still has the lock."""
    loop = asyncio.get_running_loop()
    async with limiter.turn:
        if len(limiter.calls) < limiter.limit:
            limiter.calls.append(loop.time())
            return
        oldest = limiter.calls.popleft()
        await asyncio.sleep(oldest + limiter.window - loop.time())
        await ask_again(limiter)


async def call(name, limiter):
    await limiter.acquire()
    print(f"call {name}")


async def call_by_asking_again(name, limiter):
    await ask_again(limiter)
    print(f"call {name}")


async def gives_up(name, limiter):
    try:
        async with asyncio.timeout(0.1):
            await call(name, limiter)
    except TimeoutError:
        print(f"call {name} gave up")


async def main():
    window = 0.5

    print("A call that retries while it holds the lock deadlocks:")
    limiter = SlidingWindow(3, window)
    try:
        async with asyncio.timeout(2 * window):
            names = range(1, 6)
            await asyncio.gather(*(call_by_asking_again(n, limiter) for n in names))
    except TimeoutError:
        print("the others still wait")

    print("At most 3 in 0.5 s:")
    limiter = SlidingWindow(3, window)
    await asyncio.gather(*(call(name, limiter) for name in range(1, 8)))

    print("Calls leave the window one by one, as they came:")
    await asyncio.sleep(window * 2 / 5)
    await asyncio.gather(*(call(name, limiter) for name in range(8, 13)))

    print("A caller that gives up does not count:")
    await asyncio.gather(gives_up(13, limiter), call(14, limiter))

    print("Without waiting, after a pause:")
    await asyncio.sleep(window)
    for name in (15, 16, 17, 18):
        if seconds := limiter.try_acquire():
            print(f"call {name}: retry after {seconds:.1f} s")
        else:
            print(f"call {name}")


asyncio.run(main())
