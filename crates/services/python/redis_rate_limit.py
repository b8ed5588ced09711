# /// script
# dependencies = ["redis"]
# ///
import asyncio
import math
import os

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

# Takes a token and returns 0, or returns after how many microseconds there is one.
TAKE = """
    local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
    local time = redis.call('TIME')
    local now = time[1] * 1000000 + time[2]
    local full_at = tonumber(redis.call('GET', KEYS[1]) or now)
    -- It is farther ahead only if the server's clock was set back.
    full_at = math.min(math.max(full_at, now), now + interval * burst)
    local missing = full_at - now - interval * (burst - 1)
    if missing > 0 then return missing end
    full_at = full_at + interval
    local expires = math.ceil((full_at - now) / 1000)
    redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', expires)
    return 0
"""


class RetryAfter(Exception):
    pass


class RateLimiter:
    """A bucket of tokens for each key, shared by all processes."""

    def __init__(self, redis, prefix, burst, interval, limit):
        self._take = redis.register_script(TAKE)
        self._prefix = prefix
        self._args = [round(interval * 1e6), burst]
        self._limit = limit

    async def try_acquire(self, key):
        async with asyncio.timeout(self._limit):
            missing = await self._take(keys=[self._prefix + key], args=self._args)
        if missing > 0:
            raise RetryAfter(missing / 1e6)


def connect(limit):
    # By default a command is repeated after a lost reply, and would count twice.
    return Redis.from_url(
        os.environ["REDIS_URL"],
        socket_timeout=limit,
        socket_connect_timeout=limit,
        retry=Retry(NoBackoff(), 0),
    )


async def call(process, limiter, user):
    try:
        await limiter.try_acquire(user)
        print(f"process {process}, {user}: 200 OK")
    except RetryAfter as error:
        wait = math.ceil(error.args[0])
        print(f"process {process}, {user}: 429, Retry-After: {wait}")


async def main():
    prefix = f"rate_limit:{os.getpid()}:"
    async with connect(1) as redis1, connect(1) as redis2:
        first = RateLimiter(redis1, prefix, 3, 1, 1)
        other = RateLimiter(redis2, prefix, 3, 1, 1)

        print("Three calls at once, then one a second, for each user:")
        await call(1, first, "Ann")
        await call(2, other, "Ann")
        await call(1, first, "Ann")
        await call(2, other, "Ann")
        await call(2, other, "Ben")

        await asyncio.sleep(1)
        print("A second later:")
        await call(2, other, "Ann")
        await call(1, first, "Ann")

        print("Five calls from each process at once:")
        calls = [limiter.try_acquire("Cleo") for limiter in [first, other] * 5]
        results = await asyncio.gather(*calls, return_exceptions=True)
        print(f"let through: {results.count(None)}")


asyncio.run(main())
