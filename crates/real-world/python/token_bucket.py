import asyncio


class TokenBucket:
    """A limit of calls in the long run, with bursts."""

    def __init__(self, burst, interval):
        if burst < 1 or interval <= 0:
            raise ValueError("neither may be zero")
        self.burst = burst
        self.interval = interval
        self.turn = asyncio.Lock()
        # When the bucket is full, if nobody takes a token.
        self.full_at = 0.0

    async def acquire(self, tokens=1):
        if tokens > self.burst:
            raise ValueError(f"{tokens} tokens, and the bucket holds {self.burst}")
        async with self.turn:
            await self.wait_until_there(tokens)
            self.take(tokens)

    def try_acquire(self):
        """Takes a token, or returns after how many seconds to retry."""
        if self.turn.locked():
            return self.interval
        missing = self.interval * (self.burst - 1)
        seconds = self.full_at - missing - asyncio.get_running_loop().time()
        if seconds <= 0:
            self.take(1)
        return max(0, seconds)

    async def wait_until_there(self, tokens):
        missing = self.interval * (self.burst - tokens)
        seconds = self.full_at - missing - asyncio.get_running_loop().time()
        if seconds > 0:
            await asyncio.sleep(seconds)

    def take(self, tokens):
        now = asyncio.get_running_loop().time()
        self.full_at = max(now, self.full_at) + self.interval * tokens


async def look_sleep_take(name, bucket):
    """The trap: while it sleeps, others look as well."""
    await bucket.wait_until_there(1)
    bucket.take(1)
    print(f"call {name}")


async def call(name, bucket, tokens=1):
    await bucket.acquire(tokens)
    print(f"call {name}")


async def gives_up(name, bucket):
    try:
        async with asyncio.timeout(0.1):
            await call(name, bucket)
    except TimeoutError:
        print(f"call {name} gave up")


async def main():
    interval = 0.2

    print("Look, sleep, and take:")
    bucket = TokenBucket(2, interval)
    await asyncio.gather(*(look_sleep_take(name, bucket) for name in range(1, 6)))

    print("One after the other:")
    bucket = TokenBucket(2, interval)
    await asyncio.gather(*(call(name, bucket) for name in range(1, 6)))

    print("After a pause of three intervals, for two tokens:")
    await asyncio.sleep(3 * interval)
    await asyncio.gather(*(call(name, bucket) for name in range(6, 9)))

    print("A caller that gives up takes nothing:")
    await asyncio.gather(gives_up(9, bucket), call(10, bucket))

    print("A caller that wants two tokens keeps its turn:")
    await asyncio.gather(call("11, of two", bucket, 2), call(12, bucket))

    print("Three tokens never fit:")
    try:
        await bucket.acquire(3)
    except ValueError as error:
        print(error)

    print("Without waiting, after a pause:")
    await asyncio.sleep(3 * interval)
    for name in (13, 14, 15):
        if seconds := bucket.try_acquire():
            print(f"call {name}: retry after {seconds:.1f} s")
        else:
            print(f"call {name}")


asyncio.run(main())
