"""Works as a twin of the section services, to be attacked: `attacked_twin.py TWIN`.

Shares tables, keys and subjects with the workers of `crates/services/src/tests/attacks.rs`,
and prints what they print. Ends with standard input.
"""

import asyncio
import datetime
import os
import pathlib
import sys
import threading
import time

from host_twin import load

URL, NAME = os.environ["ATTACKED_URL"], os.environ["ATTACKED_NAME"]
LEASE = int(os.environ["ATTACKED_LEASE"]) / 1000
PAUSE, MANY = 0.005, 2**31 - 1


def say(*words):
    # In one write, as the process may be killed between two.
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def work():
    """What a job is. It blocks, so that a process that was stopped writes late."""
    say("at")
    time.sleep(0.005)


async def postgres():
    import asyncpg

    return await asyncpg.connect(URL, server_settings={"search_path": NAME})


def redis(**options):
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    return Redis.from_url(URL, decode_responses=True, retry=Retry(NoBackoff(), 0), **options)


async def pg_job_queue(twin):
    lease, short = datetime.timedelta(seconds=LEASE), datetime.timedelta(milliseconds=1)
    jobs, db = twin.JobQueue(lease, MANY, short, short), await postgres()
    try:
        say("begun")
        while True:
            job = await jobs.claim(db)
            if job is None:
                await asyncio.sleep(PAUSE)
                continue
            work()
            try:
                async with db.transaction():
                    await jobs.complete(db, job)
                    number = int(job["payload"])
                    await db.execute("INSERT INTO effects VALUES ($1)", number)
                say("did", number)
            except twin.LeaseLost:
                say("late")
    finally:
        db.terminate()


async def pg_outbox(twin):
    db, consumer = await postgres(), await postgres()

    async def publish(event):
        work()
        number = int(event["payload"])
        async with consumer.transaction():
            new = await twin.is_new(consumer, "test", event["id"])
            if new:
                await consumer.execute("INSERT INTO effects VALUES ($1)", number)
        say("did" if new else "again", number)

    try:
        say("begun")
        while True:
            if not await twin.publish_batch(db, publish, batch=7, limit=LEASE):
                await asyncio.sleep(PAUSE)
    finally:
        db.terminate()
        consumer.terminate()


async def pg_leader(twin):
    async def writes(term):
        db = await postgres()
        try:
            while True:
                work()
                async with db.transaction():
                    await term.check(db)
                    sql = "SELECT coalesce(max(job), 0) + 1 FROM effects"
                    number = await db.fetchval(sql)
                    await db.execute("INSERT INTO effects VALUES ($1)", number)
                say("did", number)
        except twin.TermOver:
            say("late")
        finally:
            db.terminate()

    say("begun")
    while True:
        await twin.lead(URL, NAME, LEASE, {"search_path": NAME}, writes)


async def redis_streams(twin):
    queue = twin.Queue(NAME, "workers", LEASE, MANY)
    async with redis(socket_timeout=LEASE) as client:
        await twin.make_group(client, queue)
        worker = twin.Worker(client, queue, f"worker {os.getpid()}", 0.05)
        say("begun")
        while True:
            if job := await worker.next():
                work()
                say("did", job.payload)
                if not await worker.complete(job):
                    say("late")


async def redis_lock(twin):
    async with redis(socket_timeout=LEASE / 3) as client:
        lock = twin.RedisLock(client, NAME, LEASE)
        store = client.register_script(os.environ["ATTACKED_STORE"])
        keys = [f"{NAME}:token", f"{NAME}:log"]

        async def add(token):
            number = await store(keys=keys, args=[token, 0]) + 1
            work()
            if await store(keys=keys, args=[token, number]):
                say("did", number)
            else:
                say("late")

        say("begun")
        while True:
            if lease := await lock.try_acquire():
                await lease.hold(add)
            else:
                await asyncio.sleep(PAUSE)


async def nats_work_queue(twin):
    import nats

    async def handle(payload, attempt):
        work()
        say("did", payload)

    async def failed(error):
        say("error", repr(error))

    options = {"max_reconnect_attempts": -1, "reconnect_time_wait": 0.05}
    connection = await nats.connect(URL, error_cb=failed, **options)
    settings = twin.Settings(1_000_000, 1000, LEASE, 60, MANY, 0.02)
    queue = twin.WorkQueue(connection.jetstream(), NAME, settings)
    try:
        await queue.open()
        say("begun")
        await queue.work(asyncio.Event(), handle, lambda error: say("error", repr(error)))
    finally:
        await connection.close()


async def main():
    path = pathlib.Path(sys.argv[1])
    twin = load(path)
    while True:
        try:
            await globals()[path.stem](twin)
        except Exception as error:
            # The server is away, or late.
            say("error", repr(error))
            await asyncio.sleep(0.02)


def end():
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=end, daemon=True).start()
    asyncio.run(main())
