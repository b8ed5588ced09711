# /// script
# dependencies = ["redis"]
# ///
import asyncio
import os

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

# Returns a new token, or 0 if the lock is held.
ACQUIRE = """
    if redis.call('HEXISTS', KEYS[1], 'held') == 1 then return 0 end
    local time = redis.call('TIME')
    local last = tonumber(redis.call('HGET', KEYS[1], 'last') or 0)
    local token = math.max(last + 1, time[1] * 1000000 + time[2])
    local text = string.format('%.0f', token)
    redis.call('HSET', KEYS[1], 'held', text, 'last', text)
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
    return token
"""
# Return 1, or 0 if the lease with this token has ended.
RENEW = """
    if redis.call('HGET', KEYS[1], 'held') ~= ARGV[2] then return 0 end
    return redis.call('PEXPIRE', KEYS[1], ARGV[1])
"""
RELEASE = """
    if redis.call('HGET', KEYS[1], 'held') ~= ARGV[2] then return 0 end
    return redis.call('HDEL', KEYS[1], 'held')
"""


class RedisLock:
    """A lock with one holder at a time, for all processes with the same name."""

    def __init__(self, redis, name, ttl):
        self._scripts = {
            script: redis.register_script(script)
            for script in (ACQUIRE, RENEW, RELEASE)
        }
        self._name = name
        self.ttl = ttl

    async def try_acquire(self):
        """Returns a lease, unless another one is held."""
        expires = asyncio.get_running_loop().time() + self.ttl
        if token := await self.call(ACQUIRE, 0):
            return Lease(self, token, expires)

    async def call(self, script, token):
        async with asyncio.timeout(self.ttl / 3):
            args = [round(self.ttl * 1000), token]
            return await self._scripts[script](keys=[self._name], args=args)


class Lease:
    def __init__(self, lock, token, expires):
        self._lock = lock
        self._expires = expires
        self.token = token

    async def renew(self):
        """Returns whether the lease is still held."""
        expires = asyncio.get_running_loop().time() + self._lock.ttl
        renewed = await self._lock.call(RENEW, self.token) == 1
        if renewed:
            self._expires = expires
        return renewed

    async def release(self):
        """Returns whether the lease was held until now."""
        return await self._lock.call(RELEASE, self.token) == 1

    async def hold(self, work):
        """Works as long as the lease is held, renews it, and releases the lock."""
        async with asyncio.timeout_at(self._expires) as limit:
            keeping = asyncio.create_task(self._keep(limit))
            try:
                done = await work(self.token)
            finally:
                keeping.cancel()
        try:
            await self.release()
        except (RedisError, TimeoutError):
            pass  # The lease expires by itself.
        return done

    async def _keep(self, limit):
        loop = asyncio.get_running_loop()
        third = self._lock.ttl / 3
        keeping = asyncio.current_task()
        # redis-py may swallow a cancellation, or turn it into an error.
        while not keeping.cancelling():
            await asyncio.sleep(self._expires - 2 * third - loop.time())
            try:
                renewed = await self.renew()
                if not keeping.cancelling():
                    limit.reschedule(self._expires if renewed else loop.time())
                if not renewed:
                    return
            except (RedisError, TimeoutError):
                # Redis may be back before the lease expires.
                await asyncio.sleep(third / 10)


class Store:
    """A store that rejects tokens lower than the highest that it has seen."""

    highest = 0

    def write(self, token):
        if token < self.highest:
            return "rejected, the token is old"
        self.highest = token
        return "written"


def held(lease):
    return "acquired" if lease else "the lock is held"


def yes(it):
    return "yes" if it else "no"


def connect(limit):
    # By default a command is repeated after a lost reply. A repeated `ACQUIRE` would find
    # the lock held, by nobody.
    return Redis.from_url(
        os.environ["REDIS_URL"],
        socket_timeout=limit,
        socket_connect_timeout=limit,
        retry=Retry(NoBackoff(), 0),
    )


async def main():
    name = f"lock:{os.getpid()}"
    ttl = 0.6
    store = Store()
    async with connect(ttl / 3) as redis1, connect(ttl / 3) as redis2:
        first = RedisLock(redis1, name, ttl)
        second = RedisLock(redis2, name, ttl)

        print("Process 1 is paused for longer than its lease lasts:")
        old = await first.try_acquire()
        print(f"process 2: {held(await second.try_acquire())}")
        await asyncio.sleep(0.8)
        new = await second.try_acquire()
        print(f"process 2: {store.write(new.token)}")
        print(f"process 1: {store.write(old.token)}")
        print(f"process 1, renewed: {yes(await old.renew())}")
        print(f"process 1, released: {yes(await old.release())}")
        print(f"process 2, released: {yes(await new.release())}")

        print("Process 1 works for twice as long as a lease lasts:")
        lease = await first.try_acquire()

        async def work(token):
            await asyncio.sleep(2 * ttl)
            return store.write(token)

        async def look():
            await asyncio.sleep(1)
            return await second.try_acquire()

        async with asyncio.TaskGroup() as group:
            working = group.create_task(lease.hold(work))
            looking = group.create_task(look())
        print(f"process 2, after 1 s: {held(looking.result())}")
        print(f"process 1: {working.result()}")
        lease = await second.try_acquire()
        print(f"process 2, afterwards: {held(lease)}")
        await lease.release()


asyncio.run(main())
