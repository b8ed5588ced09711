# /// script
# dependencies = ["redis"]
# ///
import asyncio
import dataclasses
import os

from redis.asyncio import Redis
from redis.exceptions import ResponseError


@dataclasses.dataclass(frozen=True)
class Queue:
    stream: str
    group: str
    min_idle: float
    max_attempts: int


@dataclasses.dataclass(frozen=True)
class Job:
    id: str
    payload: str
    attempt: int


class Worker:
    """Gets jobs, under a name that no other worker of the group has."""

    def __init__(self, redis, queue, name, block):
        self._redis = redis
        self._queue = queue
        self._name = name
        self._block = block
        # Where to go on with the search for jobs of dead workers.
        self._cursor = "0-0"

    async def next(self):
        """Returns a job of a dead worker, or waits for a new one, but not for long."""
        if job := await self._take_over():
            return job
        queue = self._queue
        entries = await self._redis.xreadgroup(
            queue.group,
            self._name,
            {queue.stream: ">"},
            count=1,
            block=round(self._block * 1000),
        )
        if entries:
            [[_, [(id, entry)]]] = entries
            return Job(id, entry["payload"], 1)

    async def _take_over(self):
        queue = self._queue
        names = queue.stream, queue.group
        self._cursor, claimed, _ = await self._redis.xautoclaim(
            *names, self._name, round(queue.min_idle * 1000), self._cursor, count=1
        )
        for id, entry in claimed:
            [pending] = await self._redis.xpending_range(*names, id, id, 1)
            job = Job(id, entry["payload"], pending["times_delivered"])
            if job.attempt <= queue.max_attempts:
                return job
            async with self._redis.pipeline() as pipe:
                pipe.xadd(f"{queue.stream}:dead", entry)
                pipe.xack(*names, id).xdel(queue.stream, id)
                await pipe.execute()

    async def complete(self, job):
        """Returns whether it was still there."""
        names = self._queue.stream, self._queue.group
        async with self._redis.pipeline() as pipe:
            acknowledged, _ = (
                await pipe.xack(*names, job.id).xdel(names[0], job.id).execute()
            )
        return acknowledged == 1


async def make_group(redis, queue):
    try:
        await redis.xgroup_create(queue.stream, queue.group, id="0", mkstream=True)
    except ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise


async def get(name, worker):
    while not (job := await worker.next()):
        pass
    print(f"{name} gets {job.payload}, attempt {job.attempt}")
    return job


async def complete(name, worker, job):
    done = await worker.complete(job)
    print(f"{name}, {job.payload}: {'completed' if done else 'it was completed before'}")


async def main():
    # A stream of its own: another run may use the same server.
    stream = f"jobs:{os.getpid()}"
    queue = Queue(stream, "workers", min_idle=0.4, max_attempts=2)
    # The time limit of a reply is longer than a worker blocks.
    redis = Redis.from_url(
        os.environ["REDIS_URL"], decode_responses=True, socket_timeout=1.1
    )
    async with redis:
        await make_group(redis, queue)
        # Each call takes a connection of its own from the pool.
        ann = Worker(redis, queue, "ann", block=0.1)
        ben = Worker(redis, queue, "ben", block=0.1)

        print("Ann is too slow with a job:")
        await redis.xadd(stream, {"payload": "tea"})
        await redis.xadd(stream, {"payload": "cake"})
        slow = await get("Ann", ann)
        job = await get("Ben", ben)
        await complete("Ben", ben, job)
        await asyncio.sleep(0.5)
        job = await get("Ben", ben)
        await complete("Ben", ben, job)
        await complete("Ann", ann, slow)

        print("Nobody completes a job:")
        await redis.xadd(stream, {"payload": "poison"})
        await get("Ann", ann)
        await asyncio.sleep(0.5)
        await get("Ben", ben)
        await asyncio.sleep(0.5)
        await redis.xadd(stream, {"payload": "milk"})
        job = await get("Ann", ann)
        await complete("Ann", ann, job)
        dead = f"{stream}:dead"
        left, moved = await redis.xlen(stream), await redis.xlen(dead)
        print(f"in the queue: {left}, dead: {moved}")
        await redis.delete(stream, dead)


asyncio.run(main())
