# /// script
# dependencies = ["redis"]
# ///
import asyncio
import os
import random

from redis.asyncio import Redis
from redis.exceptions import RedisError

# Returns the value, or that another load runs, or the mark of the load that begins.
LOOK_UP = """
    local entry = redis.call('HMGET', KEYS[1], 'value', 'mark')
    if entry[1] then return {'value', entry[1]} end
    if entry[2] then return {'running', ''} end
    local time = redis.call('TIME')
    local mark = time[1] .. '.' .. time[2]
    redis.call('HSET', KEYS[1], 'mark', mark)
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
    return {'begins', mark}
"""
# Removes the mark, and stores the value if there is one. Does nothing if the mark has
# expired or was removed.
FINISH = """
    if redis.call('HGET', KEYS[1], 'mark') ~= ARGV[1] then return end
    redis.call('DEL', KEYS[1])
    if not ARGV[2] then return end
    redis.call('HSET', KEYS[1], 'value', ARGV[2])
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
"""


class RedisCache:
    def __init__(self, redis, prefix, *, ttl, jitter, load_limit, poll, limit):
        self._redis = redis
        self._look_up = redis.register_script(LOOK_UP)
        self._finish = redis.register_script(FINISH)
        self._prefix = prefix
        self._ttl = ttl
        self._jitter = jitter
        self._load_limit = load_limit
        self._poll = poll
        self._limit = limit
        self._loads = set()

    async def get_or_load(self, key, load):
        """Returns the value that is kept, or waits for another's load, or loads it."""
        key = self._prefix + key
        async with asyncio.timeout(self._load_limit):
            while True:
                kind, text = await self._find(key)
                if kind == "value":
                    return text
                if kind == "begins":
                    break
                await asyncio.sleep(self._poll)
        task = asyncio.create_task(self._load(key, text, load))
        self._loads.add(task)
        task.add_done_callback(self._loads.discard)
        # The load survives its caller, as others wait for it.
        return await asyncio.shield(task)

    async def remove(self, key):
        async with asyncio.timeout(self._limit):
            await self._redis.delete(self._prefix + key)

    async def _find(self, key):
        try:
            async with asyncio.timeout(self._limit):
                args = [round(self._load_limit * 1000)]
                return await self._look_up(keys=[key], args=args)
        except (RedisError, TimeoutError):
            return "begins", None

    async def _load(self, key, mark, load):
        args = [mark]
        try:
            async with asyncio.timeout(self._load_limit):
                value = await load()
            ttl = self._ttl + random.uniform(0, self._jitter)
            args += [value, round(ttl * 1000)]
            return value
        finally:
            if mark:
                try:
                    async with asyncio.timeout(self._limit):
                        await self._finish(keys=[key], args=args)
                except (RedisError, TimeoutError):
                    pass  # The mark expires by itself.


class Prices:
    """A price list that is slow."""

    price = 0

    def load(self, item):
        async def load():
            print(f"loading the price of {item}")
            price = self.price
            await asyncio.sleep(0.25)
            if item == "cake":
                raise LookupError("there is no cake")
            return str(price)

        return load


async def main():
    prefix = f"prices:{os.getpid()}:"
    prices = Prices()

    def connect():
        return Redis.from_url(
            os.environ["REDIS_URL"], socket_timeout=1, decode_responses=True
        )

    def cache(redis):
        limits = dict(ttl=0.5, jitter=0, load_limit=1, poll=0.1, limit=1)
        return RedisCache(redis, prefix, **limits)

    async with connect() as redis1, connect() as redis2:
        first, second = cache(redis1), cache(redis2)

        print("Two callers in each of two processes:")
        callers = [first, second] * 2
        results = await asyncio.gather(
            *(caller.get_or_load("tea", prices.load("tea")) for caller in callers)
        )
        same = all(result == "0" for result in results)
        print(f"all have the same price: {str(same).lower()}")

        await asyncio.sleep(0.7)
        print("It has expired, and the price changes while it is loaded:")

        async def changes():
            await asyncio.sleep(0.1)
            prices.price = 1
            await second.remove("tea")

        old, _ = await asyncio.gather(
            first.get_or_load("tea", prices.load("tea")), changes()
        )
        print(f"this caller asked before the change: {old}")
        new = await first.get_or_load("tea", prices.load("tea"))
        print(f"this one afterwards: {new}")
        kept = await second.get_or_load("tea", prices.load("tea"))
        print(f"and this one has it from the cache: {kept}")

        print("A load fails, and the next caller loads:")
        for cache in first, second:
            try:
                await cache.get_or_load("cake", prices.load("cake"))
            except LookupError as error:
                print(error)
        await first.remove("tea")


asyncio.run(main())
