"""Works as a twin of the section services, to be attacked: `attacked_twin.py TWIN`.

Shares tables, keys and subjects with the workers of `crates/services/src/tests/workers.rs`,
and prints what they print. Ends with standard input.
"""

import asyncio
import contextlib
import datetime
import importlib.util
import itertools
import os
import pathlib
import sys
import threading
import time
import urllib.parse

URL, NAME = os.environ["ATTACKED_URL"], os.environ["ATTACKED_NAME"]
LEASE = int(os.environ["ATTACKED_LEASE"]) / 1000
INTERVAL = int(os.environ["ATTACKED_INTERVAL"]) / 1000
BURST, ROWS = int(os.environ["ATTACKED_BURST"]), int(os.environ["ATTACKED_ROWS"])
PAUSE, MANY = 0.005, 2**31 - 1
ACCOUNTS = int(os.environ["ATTACKED_ACCOUNTS"])
resting = threading.Event()
NUMBERS = itertools.count(os.getpid() * 1_000_000 + 1)


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


async def pg_worker(twin):
    class Stores:
        async def work(self, job):
            work()
            return int(job["payload"])

        async def store(self, db, job, number):
            await db.execute("INSERT INTO effects VALUES ($1)", number)
            say("did", number)

        def report(self, error):
            say("error", repr(error))

    async with pool(max_size=4) as connections:
        times = {"lease": LEASE, "max_runtime": 1000 * LEASE, "backoff": 0, "poll": PAUSE}
        worker = twin.Worker(
            connections, Stores(), concurrency=2, max_attempts=MANY, **times
        )
        say("begun")
        await worker.run()


async def pg_cron_once(twin):
    first = datetime.datetime.fromtimestamp(0, datetime.UTC)
    interval = datetime.timedelta(milliseconds=10)
    lease = datetime.timedelta(seconds=LEASE)
    schedule, db = twin.Schedule(NAME, first, interval, lease, MANY), await postgres()
    try:
        say("begun")
        while True:
            run, wait = await schedule.turn(db)
            if run is None:
                await asyncio.sleep(wait)
                continue
            work()
            number = (run[0] - first) // datetime.timedelta(milliseconds=1)
            try:
                async with asyncio.timeout(LEASE), db.transaction():
                    await schedule.finish(db, run)
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
            for _ in range(20):
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
        await asyncio.sleep(LEASE)


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


@contextlib.asynccontextmanager
async def nats_connection():
    import nats

    async def failed(error):
        say("error", repr(error))

    options = {"max_reconnect_attempts": -1, "reconnect_time_wait": 0.05}
    connection = await nats.connect(URL, error_cb=failed, **options)
    try:
        yield connection
    finally:
        await connection.close()


async def nats_work_queue(twin):
    async def handle(payload, attempt):
        work()
        say("did", payload)

    async with nats_connection() as connection:
        settings = twin.Settings(1_000_000, 1000, LEASE, 60, MANY, 0.02)
        queue = twin.WorkQueue(connection.jetstream(), NAME, settings)
        await queue.open()
        say("begun")
        await queue.work(asyncio.Event(), handle, lambda error: say("error", repr(error)))


async def calls(call):
    """Two callers that call again and again. What they did, they tell themselves."""

    async def caller():
        # Before Python 3.12, `asyncio.wait_for` returns the result of a call that ends as
        # the task is cancelled, and redis-py calls it: there is no CancelledError.
        while not asyncio.current_task().cancelling():
            while resting.is_set():
                await asyncio.sleep(PAUSE)
            say("at")
            try:
                await call(next(NUMBERS))
            except Exception as error:
                say("error", repr(error))
                # redis-py may turn a cancellation into an error.
                if asyncio.current_task().cancelling():
                    raise
            await asyncio.sleep(0.02 if "ATTACKS" in os.environ else 0.005)

    say("begun")
    await asyncio.gather(caller(), caller())


async def tell(seen):
    """Tells now and then of how many effects this process has heard."""
    while True:
        say("sees", seen())
        await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def pool(max_size=2):
    import asyncpg

    settings = {"search_path": NAME, "statement_timeout": str(round(LEASE * 1000))}
    options = {"min_size": 0, "timeout": LEASE, "command_timeout": LEASE}
    connections = await asyncpg.create_pool(
        URL, server_settings=settings, max_size=max_size, **options
    )
    try:
        yield connections
    finally:
        connections.terminate()


async def pg_pool(twin):
    async with pool() as connections:

        async def call(number):
            async with connections.acquire(timeout=LEASE) as db:
                await db.execute("INSERT INTO effects VALUES ($1)", number)
            say("did", number)

        await calls(call)


async def pg_transaction(twin):
    async with pool() as connections:

        async def call(number):
            async def transfer():
                async with connections.acquire(timeout=LEASE) as db:
                    async with db.transaction(isolation="serializable"):
                        await twin.add(db, f"Ada{number % ACCOUNTS}", -1)
                        await twin.add(db, f"Bob{number % ACCOUNTS}", 1)
                        await db.execute("INSERT INTO effects VALUES ($1)", number)

            await twin.retry(transfer, backoff=0.01)
            say("did", number)

        await calls(call)


async def pg_copy(twin):
    async with pool() as connections:

        async def rows(number):
            for _ in range(ROWS):
                yield number, 0.0, None

        async def call(number):
            async with connections.acquire(timeout=LEASE) as db:
                await twin.store(db, rows(number))
            say("did", number)

        await calls(call)


async def pg_listen(twin):
    listener = twin.Listener(f"{URL}?options=-csearch_path%3D{NAME}", NAME, 10)
    seen = set()
    async with pool() as connections, asyncio.TaskGroup() as group:

        async def hear():
            while True:
                event = await listener.events.get()
                if event == twin.RESYNC:
                    async with connections.acquire(timeout=LEASE) as db:
                        seen.update(row[0] for row in await db.fetch("TABLE effects"))
                elif event != twin.LOST:
                    seen.add(int(event.removeprefix("heard ")))

        async def call(number):
            sql = """WITH added AS (INSERT INTO effects VALUES ($1) RETURNING job)
                     SELECT pg_notify($2, job::TEXT) FROM added"""
            async with connections.acquire(timeout=LEASE) as db:
                await db.execute(sql, number, NAME)
            say("did", number)

        group.create_task(listener.listen())
        group.create_task(hear())
        group.create_task(tell(lambda: len(seen)))
        await calls(call)


async def mysql_pool(twin):
    import aiomysql

    url = urllib.parse.urlsplit(URL)
    server = {"host": url.hostname, "port": url.port, "user": url.username, "db": url.path[1:]}
    options = {"minsize": 0, "maxsize": 2, "autocommit": True, "connect_timeout": LEASE}
    async with aiomysql.create_pool(**server, **options) as connections:
        database = twin.Database(connections, LEASE)

        async def call(number):
            async with asyncio.timeout(LEASE):
                await twin.add_users(database, [str(number)] * ROWS)
            say("did", number)

        await calls(call)


async def redis_rate_limit(twin):
    async with redis(socket_timeout=LEASE) as client:
        limiter = twin.RateLimiter(client, NAME, BURST, INTERVAL, LEASE)

        async def call(number):
            while True:
                try:
                    await limiter.try_acquire("all")
                    return say("did", number)
                except twin.RetryAfter as refused:
                    await asyncio.sleep(refused.args[0])

        await calls(call)


async def redis_cache(twin):
    async with redis(socket_timeout=LEASE) as client:
        times = {"ttl": 1000 * LEASE, "jitter": LEASE, "load_limit": LEASE}
        cache = twin.RedisCache(client, NAME, **times, poll=0.001, limit=LEASE)

        async def load():
            loaded = await client.get(f"{NAME}:truth")
            # Meanwhile another one may change it.
            await asyncio.sleep(PAUSE)
            return loaded

        async def call(number):
            changed = await client.incr(f"{NAME}:truth")
            await cache.remove("number")
            found = await cache.get_or_load("number", load)
            if int(found) >= changed:
                say("effect", number)
            say("did", number)

        await calls(call)


async def redis_pub_sub(twin):
    limits = twin.Limits(capacity=10, answer=LEASE, ping=LEASE / 3, pause=0.02)
    log, seen = f"{NAME}:log", set()
    async with (
        redis(socket_timeout=LEASE) as client,
        twin.Subscriber(client, NAME, limits) as events,
        asyncio.TaskGroup() as group,
    ):
        publish = client.register_script(os.environ["ATTACKED_PUBLISH"])

        async def catch_up(read):
            """Reads what is new, in pages: all of it takes longer than a call may take."""
            while page := await client.lrange(log, read, read + 999):
                seen.update(map(int, page))
                read += len(page)
            return read

        async def hear():
            read = await catch_up(0)
            while True:
                event = await events.get()
                if event is twin.GAP:
                    read = await catch_up(read)
                else:
                    seen.add(int(event))

        async def call(number):
            await publish(keys=[log, NAME], args=[number])
            say("did", number)

        group.create_task(hear())
        group.create_task(tell(lambda: len(seen)))
        await calls(call)


async def nats_request_reply(twin):
    limits = twin.Limits(handlers=10, runtime=LEASE, drain=LEASE)

    async def handle(number):
        say("effect", number.decode())
        return number

    async def call(number):
        reply = await twin.call(connection, NAME, str(number).encode(), LEASE)
        assert reply == str(number).encode(), "the reply to another call"
        say("did", number)

    async with nats_connection() as connection, asyncio.TaskGroup() as group:
        group.create_task(twin.serve(connection, NAME, limits, asyncio.Event(), handle))
        await calls(call)


async def nats_key_value(twin):
    follower = twin.Follower()

    def count(value):
        return int(value or b"0")

    async def call(number):
        counted = 0

        def compute(value):
            nonlocal counted
            counted = count(value) + 1
            return str(counted).encode()

        async with asyncio.timeout(LEASE):
            await twin.change(store, "count", compute)
        say("did", counted)

    async with nats_connection() as connection, asyncio.TaskGroup() as group:
        store = await connection.jetstream().key_value(NAME)
        group.create_task(follower.follow(store, "count"))
        group.create_task(tell(lambda: count(follower.value)))
        await calls(call)


def load(path):
    """Imports a twin, and does not run it."""
    run, asyncio.run = asyncio.run, lambda main: main.close()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    twin = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = twin
    spec.loader.exec_module(twin)
    asyncio.run = run
    return twin


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


def listen():
    for line in sys.stdin:
        if line == "rest\n":
            resting.set()
        else:
            resting.clear()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=listen, daemon=True).start()
    asyncio.run(main())
