import asyncio
import os
import time
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import nats
from run import shared, twin

NAME = f"bench_{os.getpid()}"


async def pg_pool(size):
    async with asyncpg.create_pool(
        os.environ["DATABASE_URL"], min_size=0, max_size=10, command_timeout=60
    ) as pool:

        async def query(numbers):
            items = total = 0
            for number in numbers:
                total += await pool.fetchval("SELECT $1::BIGINT + 1", number)
                items += 1
            return items, total

        return await shared(10, size, query)


@asynccontextmanager
async def schema():
    """A connection to a schema that only this process uses."""
    settings = {"search_path": NAME}
    db = await asyncpg.connect(os.environ["DATABASE_URL"], server_settings=settings)
    await db.execute(f"CREATE SCHEMA {NAME}")
    try:
        yield db
    finally:
        await db.execute(f"DROP SCHEMA {NAME} CASCADE")
        await db.close()


async def pg_jobs(size):
    example = twin("services/pg_job_queue")
    long = timedelta(seconds=60)
    jobs = example.JobQueue(long, 5, long, long)
    async with schema() as db:
        await db.execute(example.SCHEMA)

        async def work(numbers):
            total = 0
            for number in numbers:
                await jobs.enqueue(db, str(number))
                job = await jobs.claim(db)
                await jobs.complete(db, job)
                total += len(job["payload"])
            return len(numbers), total

        return await shared(1, size, work)


async def pg_copy(size):
    async def rows():
        for number in range(size):
            yield number, number / 2, None

    async with schema() as db:
        await db.execute(
            "CREATE TABLE readings (sensor BIGINT PRIMARY KEY, value FLOAT8, note TEXT)"
        )
        begun = time.perf_counter()
        count = await twin("services/pg_copy").store(db, rows())
        return time.perf_counter() - begun, count, 0


async def redis_limit(size):
    example = twin("services/redis_rate_limit")
    async with example.connect(60) as redis:
        limiter = example.RateLimiter(redis, NAME, 1_000_000, 1e-6, 60)

        async def call(numbers):
            for _ in numbers:
                await limiter.try_acquire("Ann")
            return len(numbers), len(numbers)

        return await shared(10, size, call)


async def redis_cache(size):
    example = twin("services/redis_cache")

    async def load():
        return "1"

    url = os.environ["REDIS_URL"]
    async with example.Redis.from_url(url, decode_responses=True) as redis:
        limits = dict(ttl=60, jitter=0, load_limit=60, poll=60, limit=60)
        cache = example.RedisCache(redis, NAME, **limits)

        async def get(numbers):
            total = 0
            for _ in numbers:
                total += len(await cache.get_or_load("tea", load))
            return len(numbers), total

        # The first one loads.
        await get(range(1))
        work = await shared(1, size, get)
        await cache.remove("tea")
        return work


async def nats_calls(size):
    example = twin("services/nats_request_reply")
    service, client = [await nats.connect(os.environ["NATS_URL"]) for _ in range(2)]

    async def answer(payload):
        return payload

    async def call(numbers):
        total = 0
        for number in numbers:
            total += len(await example.call(client, NAME, str(number).encode(), 60))
        return len(numbers), total

    stop = asyncio.Event()
    limits = example.Limits(10, 60, 60)
    serving = asyncio.create_task(example.serve(service, NAME, limits, stop, answer))
    await asyncio.sleep(0)
    await service.flush()
    work = await shared(10, size, call)
    stop.set()
    await serving
    await client.close()
    await service.close()
    return work


async def nats_jobs(size):
    example = twin("services/nats_work_queue")
    client = await nats.connect(os.environ["NATS_URL"])
    queue = example.WorkQueue(
        client.jetstream(), NAME, example.Settings(1000, 1, 60, 60, 5, 60)
    )
    await queue.open()
    done = asyncio.Queue(1)

    async def handle(payload, attempt):
        await done.put(payload)

    async def add(numbers):
        total = 0
        for number in numbers:
            await queue.add(str(number), str(number).encode())
            total += len(await done.get())
        return len(numbers), total

    stop = asyncio.Event()
    working = asyncio.create_task(queue.work(stop, handle, print))
    work = await shared(1, size, add)
    stop.set()
    await working
    for stream in (NAME, f"{NAME}_dead"):
        await client.jetstream().delete_stream(stream)
    await client.close()
    return work
