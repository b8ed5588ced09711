# /// script
# dependencies = ["redis"]
# ///
import asyncio
import dataclasses
import os

from redis.asyncio import Redis
from redis.exceptions import WatchError

POLL = 0.005


@dataclasses.dataclass(frozen=True)
class Job:
    id: str
    payload: str
    attempt: int


class Queue:
    """A queue on a sorted set, as arq has it."""

    def __init__(self, redis, name, lease, max_attempts, keep_result):
        self._redis = redis
        self._name = name
        self._lease = lease
        self._max_attempts = max_attempts
        self._keep_result = keep_result

    def _key(self, kind, id=""):
        return f"{self._name}:{kind}{id}"

    async def _now(self):
        seconds, micros = await self._redis.time()
        return seconds * 1000 + micros // 1000

    async def _change(self, id, change):
        """Runs `change` in a transaction that sees no other change of the job.

        Each pipeline has its own connection, so a WATCH of another task is not ended.
        """
        while True:
            async with self._redis.pipeline() as pipe:
                await pipe.watch(self._key("job:", id), self._key("result:", id))
                try:
                    return await change(pipe)
                except WatchError:
                    continue

    async def enqueue(self, id, payload, delay=0.0):
        async def change(pipe):
            if await pipe.exists(self._key("job:", id), self._key("result:", id)):
                return False
            due = await self._now() + int(delay * 1000)
            pipe.multi()
            pipe.hset(self._key("job:", id), mapping={"payload": payload, "attempt": 0})
            pipe.zadd(self._key("due"), {id: due})
            await pipe.execute()
            return True

        return await self._change(id, change)

    async def claim(self):
        """Returns the job that has been due for the longest time, or None."""
        now = await self._now()
        ids = await self._redis.zrangebyscore(self._key("due"), 0, now, start=0, num=1)
        if not ids:
            return None
        [id] = ids

        async def change(pipe):
            job = self._key("job:", id)
            payload, attempt = await pipe.hmget(job, "payload", "attempt")
            due = await pipe.zscore(self._key("due"), id)
            if payload is None or due > now:
                return None
            attempt = int(attempt) + 1
            pipe.multi()
            if attempt > self._max_attempts:
                self._finish(pipe, id, "failed", "its worker was lost")
                await pipe.execute()
                return None
            pipe.hset(self._key("job:", id), "attempt", attempt)
            pipe.zadd(self._key("due"), {id: now + int(self._lease * 1000)})
            await pipe.execute()
            return Job(id, payload, attempt)

        return await self._change(id, change)

    def _finish(self, pipe, id, state, value):
        pipe.zrem(self._key("due"), id)
        pipe.delete(self._key("job:", id))
        result = self._key("result:", id)
        pipe.hset(result, mapping={"state": state, "value": value})
        pipe.pexpire(result, int(self._keep_result * 1000))

    async def _if_claimed(self, job, command):
        async def change(pipe):
            attempt = await pipe.hget(self._key("job:", job.id), "attempt")
            if attempt != str(job.attempt):
                return False
            now = await self._now()
            pipe.multi()
            command(pipe, now)
            await pipe.execute()
            return True

        return await self._change(job.id, change)

    async def extend(self, job):
        def move(pipe, now):
            pipe.zadd(self._key("due"), {job.id: now + int(self._lease * 1000)})

        return await self._if_claimed(job, move)

    async def complete(self, job, result):
        return await self._if_claimed(
            job, lambda pipe, _: self._finish(pipe, job.id, "done", result)
        )

    async def fail(self, job, error):
        return await self._if_claimed(
            job, lambda pipe, _: self._finish(pipe, job.id, "failed", error)
        )

    async def abort(self, id):
        async def change(pipe):
            if not await pipe.exists(self._key("job:", id)):
                return False
            pipe.multi()
            self._finish(pipe, id, "aborted", "")
            await pipe.execute()
            return True

        return await self._change(id, change)

    async def wait_for_result(self, id):
        while True:
            result = self._key("result:", id)
            state, value = await self._redis.hmget(result, "state", "value")
            if state is not None:
                return f"{state}, {value}" if value else state
            if not await self._redis.exists(self._key("job:", id)):
                return "no such job"
            await asyncio.sleep(POLL)

    async def delete(self):
        keys = [key async for key in self._redis.scan_iter(f"{self._name}:*")]
        await self._redis.delete(*keys)


async def claim(queue):
    """Waits until a job is due."""
    while True:
        if job := await queue.claim():
            print(f"claimed {job.id}, attempt {job.attempt}")
            return job
        await asyncio.sleep(POLL)


async def show(queue, id):
    print(f"{id}: {await queue.wait_for_result(id)}")


async def main():
    async with Redis.from_url(os.environ["REDIS_URL"], decode_responses=True) as redis:
        # Another run may use the same server.
        queue = Queue(
            redis, f"queue:{os.getpid()}", lease=0.4, max_attempts=2, keep_result=60
        )

        print("An id is used once, and the delayed job comes last:")
        for id, delay in [("tea", 0.3), ("cake", 0), ("tea", 0.3)]:
            is_new = await queue.enqueue(id, id, delay)
            print(f"{id}: {'added' if is_new else 'it is there'}")
        cake = await claim(queue)
        await queue.complete(cake, "eaten")
        await show(queue, "cake")
        tea = await claim(queue)
        await queue.fail(tea, "cold")
        await show(queue, "tea")

        print("Aborted by its id, while it runs:")
        await queue.enqueue("milk", "milk")
        milk = await claim(queue)
        await queue.abort("milk")
        print(f"the worker has it: {'yes' if await queue.extend(milk) else 'no'}")
        await show(queue, "milk")

        print("Two workers are lost with it:")
        await queue.enqueue("poison", "poison")
        await claim(queue)
        await claim(queue)
        await queue.enqueue("jam", "jam", 0.5)
        jam = await claim(queue)
        await show(queue, "poison")
        await queue.complete(jam, "eaten")
        await queue.delete()


asyncio.run(main())
