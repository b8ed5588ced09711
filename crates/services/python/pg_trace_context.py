# /// script
# dependencies = ["asyncpg"]
# ///
import asyncio
import contextlib
import contextvars
import dataclasses
import os
import re
import secrets
import time

import asyncpg

SCHEMA = """
    CREATE TABLE traced_jobs (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        payload TEXT NOT NULL,
        traceparent TEXT NOT NULL,
        added_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
    )
"""
FORMAT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
current = contextvars.ContextVar("current")


@dataclasses.dataclass(frozen=True)
class TraceParent:
    trace_id: str
    span_id: str
    flags: str = "01"

    @classmethod
    def new(cls):
        return cls(secrets.token_hex(16), secrets.token_hex(8))

    @classmethod
    def parse(cls, text):
        """Reads version 00, and what later versions have in common with it."""
        match = FORMAT.fullmatch(text)
        if match is None:
            return None
        version, trace_id, span_id, flags, rest = match.groups()
        is_zero = not int(trace_id, 16) or not int(span_id, 16)
        if version == "ff" or (version == "00" and rest) or is_zero:
            return None
        return cls(trace_id, span_id, flags)

    def child(self):
        return dataclasses.replace(self, span_id=secrets.token_hex(8))

    def __str__(self):
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


@contextlib.contextmanager
def scope(trace):
    token = current.set(trace)
    try:
        yield
    finally:
        current.reset(token)


def log(text):
    print(f"trace {current.get().trace_id}: {text}")


async def add(db, payload):
    """Adds a job in the trace of this task."""
    sql = "INSERT INTO traced_jobs (payload, traceparent) VALUES ($1, $2)"
    await db.execute(sql, payload, str(current.get(None) or TraceParent.new()))


async def work(db, handler):
    """Runs the handler of one job in the job's trace, and deletes the job."""
    sql = """
        DELETE FROM traced_jobs WHERE id = (
            SELECT id FROM traced_jobs ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING payload, traceparent, clock_timestamp() - added_at AS waited
    """
    async with db.transaction():
        job = await db.fetchrow(sql)
        if job is None:
            return False
        parent = TraceParent.parse(job["traceparent"])
        with scope(parent.child() if parent else TraceParent.new()):
            await handler(job)
        return True


async def main():
    start = time.monotonic()

    async def at(seconds):
        await asyncio.sleep(start + seconds - time.monotonic())

    url, name = os.environ["DATABASE_URL"], f"trace_{os.getpid()}"
    db = await asyncpg.connect(url, server_settings={"search_path": name})
    await db.execute(f"CREATE SCHEMA {name}")
    try:
        await db.execute(SCHEMA)
        await demonstrate(db, at)
    finally:
        await db.execute(f"DROP SCHEMA {name} CASCADE")
        await db.close()


async def demonstrate(db, at):
    async def handle(job):
        log(f"the job {job['payload']}")

    await at(0.3)
    print("Two requests, with the headers of their clients:")
    first = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    second = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    for header, item in [(first, "tea"), (second, "cake")]:
        with scope(TraceParent.parse(header)):
            log(f"the request {item}")
            await add(db, item)
    while await work(db, handle):
        pass

    await at(0.5)
    print("A job that fails first:")
    trace, spans = TraceParent.parse(first), []
    with scope(trace):
        await add(db, "pie")
    for attempt in (1, 2):

        async def fail_first(_job):
            spans.append(current.get())
            log(f"attempt {attempt}")
            if attempt == 1:
                raise ValueError("no oven")

        try:
            await work(db, fail_first)
            print("done")
        except ValueError as error:
            print(error)
    print(f"each has its own span: {str(spans[0].span_id != spans[1].span_id).lower()}")

    await at(0.7)
    print("A task within a request:")

    async def child():
        log("in the task")

    with scope(trace):
        await asyncio.create_task(child())
    print("A header that is none:")
    begins = TraceParent.parse("00-0-0-01") is None
    print(f"begins a new trace: {str(begins).lower()}")


asyncio.run(main())
