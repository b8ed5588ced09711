# /// script
# requires-python = ">=3.11"
# dependencies = ["aiosqlite", "fastapi", "prometheus_client", "uvicorn"]
# ///
"""The same service for Python: FastAPI on uvicorn, with the same routes and answers."""

import argparse
import asyncio
import contextlib
import logging
import secrets
import time
from typing import Annotated

import aiosqlite
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.openmetrics.exposition import (
    CONTENT_TYPE_LATEST,
    generate_latest,
)
from pydantic import BaseModel, ConfigDict, StrictStr, field_validator
from starlette.datastructures import Headers, MutableHeaders

MAX_BODY = 16 * 1024
MAX_TEXT = 1_000
REQUEST = 10.0
CONNECTIONS = 1_000
MIGRATIONS = [
    "CREATE TABLE note (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL) STRICT",
    "ALTER TABLE note ADD COLUMN created_at TEXT NOT NULL DEFAULT ''",
    # A job comes with its note and goes with its result: in the same transaction.
    """ALTER TABLE note ADD COLUMN words INTEGER;
    CREATE TABLE job (note INTEGER PRIMARY KEY, attempt INTEGER NOT NULL DEFAULT 0) STRICT;
    INSERT INTO job (note) SELECT id FROM note;
    CREATE TRIGGER added AFTER INSERT ON note
        BEGIN INSERT INTO job (note) VALUES (new.id); END;
    CREATE TRIGGER done AFTER UPDATE OF words ON note
        BEGIN DELETE FROM job WHERE note = new.id; END;""",
]
NEXT_JOB = """
    UPDATE job SET attempt = attempt + 1 WHERE note =
        (SELECT note FROM job WHERE attempt < 5 ORDER BY attempt, note LIMIT 1)
    RETURNING note, attempt, (SELECT text FROM note WHERE id = job.note) AS text"""
Id = Annotated[int, Path(ge=-(2**63), le=2**63 - 1)]
After = Annotated[int, Query(ge=-(2**63), le=2**63 - 1)]
Limit = Annotated[int, Query(ge=0, le=255)]
log = logging.getLogger("uvicorn.error")


class NewNote(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: StrictStr

    @field_validator("text")
    @classmethod
    def check(cls, text):
        if not text.strip():
            raise ValueError("must not be empty")
        if len(text) > MAX_TEXT:
            raise ValueError(f"at most {MAX_TEXT} characters")
        if "\0" in text:
            raise ValueError("must not contain NUL")
        return text


class Store:
    """The notes, in SQLite. aiosqlite has a thread for the connection."""

    def __init__(self, db, queue):
        self._db = db
        self._free = queue
        self._added = asyncio.Event()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, path, queue):
        # Without a transaction of its own, a statement is committed when it returns.
        async with aiosqlite.connect(path, isolation_level=None) as db:
            db.row_factory = aiosqlite.Row
            await db.execute("PRAGMA journal_mode = WAL")
            await db.execute("PRAGMA synchronous = FULL")
            (version,) = await (await db.execute("PRAGMA user_version")).fetchone()
            if version > len(MIGRATIONS):
                raise RuntimeError(f"the database has version {version}")
            for number, migration in enumerate(MIGRATIONS[version:], version + 1):
                mark = f"PRAGMA user_version = {number}"
                await db.executescript(f"BEGIN; {migration}; {mark}; COMMIT")
            yield cls(db, queue)

    async def _call(self, sql, arguments):
        if self._free == 0:
            message = "too many requests are waiting"
            raise failure(503, "overloaded", message, {"retry-after": "1"})
        self._free -= 1
        try:
            rows = await self._db.execute_fetchall(sql, arguments)
        finally:
            self._free += 1
        return [dict(row) for row in rows]

    async def add(self, text):
        """Returns the new note when it is on disk."""
        sql = (
            "INSERT INTO note (text, created_at) VALUES (?, strftime('%Y-%m-%dT%H:%M:%SZ'))"
            " RETURNING *"
        )
        [note] = await self._call(sql, [text])
        self._added.set()
        return note

    async def get(self, id):
        return await self._call("SELECT * FROM note WHERE id = ?", [id])

    async def list(self, after, limit):
        sql = "SELECT * FROM note WHERE id > ? ORDER BY id LIMIT ?"
        return await self._call(sql, [after, limit])

    async def work(self):
        """Counts the words of each note, one after the other."""
        while True:
            try:
                jobs = await self._call(NEXT_JOB, [])
                for job in jobs:
                    sql = "UPDATE note SET words = ? WHERE id = ?"
                    await self._call(sql, [len(job["text"].split()), job["note"]])
            except Exception:
                log.exception("a job failed")
                await asyncio.sleep(1)
            else:
                if not jobs:
                    await self._added.wait()
                    self._added.clear()


def failure(status, code, message, headers=None):
    """An error with the body that all errors have: a code, and a text for people."""
    return HTTPException(status, {"code": code, "message": message}, headers)


def json_only(request: Request):
    if request.headers.get("content-type", "").split(";")[0] != "application/json":
        raise failure(415, "invalid_body", "the body must be application/json")


class Observe:
    """The id of a request, its line in the log, its metrics, and its limits."""

    def __init__(self, app):
        self._app = app
        self.registry = CollectorRegistry()
        help = "Requests by route and status; 499: the client left"
        labels = ["route", "status"]
        self._requests = Counter("requests", help, labels, registry=self.registry)
        buckets = [0.005, 0.02, 0.1, 0.5, 2.0, 10.0]
        self._seconds = Histogram(
            "request_seconds", "Time of requests", buckets=buckets, registry=self.registry
        )
        help = "Tasks that have not ended"
        self.tasks = Gauge("tasks", help, registry=self.registry)

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        given = Headers(scope=scope).get("x-request-id", "")
        id = given if 1 <= len(given) <= 64 else secrets.token_hex(8)
        start, status, size = time.perf_counter(), 499, 0

        async def read():
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > MAX_BODY:
                raise failure(413, "invalid_body", "the body is too large")
            return message

        async def answer(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).append("x-request-id", id)
            await send(message)

        try:
            async with asyncio.timeout(REQUEST):
                await self._app(scope, read, answer)
        except TimeoutError:
            await Response(status_code=504)(scope, receive, answer)
        finally:
            took = time.perf_counter() - start
            route = scope["route"].path if "route" in scope else "none"
            self._requests.labels(route, status).inc()
            self._seconds.observe(took)
            log.info(
                "%s %s id=%s status=%s took=%.6f",
                scope["method"],
                route,
                id,
                status,
                took,
            )


def handle_errors(api):
    """Gives all errors the same body."""

    @api.exception_handler(RequestValidationError)
    async def invalid(request, error):
        [first, *_] = error.errors()
        kind, (place, *fields), message = first["type"], first["loc"], first["msg"]
        name = ".".join(map(str, fields))
        if place == "path":
            status, code, message = 404, "not_found", "nothing is here"
        elif place == "query":
            status, code, message = 400, "invalid_query", f"{name}: {message}"
        elif kind == "value_error":
            status, code, message = 422, "invalid", f"{name}: {first['ctx']['error']}"
        else:
            # The second: there is no body at all.
            is_json = kind != "json_invalid" and (kind, fields) != ("missing", [])
            status, code = 422 if is_json else 400, "invalid_body"
        return JSONResponse({"code": code, "message": message}, status)

    @api.exception_handler(404)
    async def not_found(request, error):
        return JSONResponse({"code": "not_found", "message": "nothing is here"}, 404)

    @api.exception_handler(HTTPException)
    async def failed(request, error):
        return JSONResponse(error.detail, error.status_code, error.headers)

    @api.exception_handler(Exception)
    async def internal(request, error):
        return JSONResponse({"code": "internal", "message": "internal error"}, 500)


def make(settings):
    @contextlib.asynccontextmanager
    async def lifespan(app):
        async with Store.open(settings.database, settings.queue) as store:
            worker = asyncio.create_task(store.work())
            yield {"store": store}
            worker.cancel()
            await asyncio.wait([worker])

    api = FastAPI(lifespan=lifespan, openapi_url=None)
    api.state.is_stopping = False
    observe = Observe(api)

    handle_errors(api)

    @api.post("/notes", status_code=201, dependencies=[Depends(json_only)])
    async def add(new: NewNote, request: Request, response: Response):
        note = await request.state.store.add(new.text)
        response.headers["location"] = f"/notes/{note['id']}"
        return note

    @api.get("/notes/{id}")
    async def read(id: Id, request: Request):
        for note in await request.state.store.get(id):
            return note
        raise HTTPException(404)

    @api.get("/notes")
    async def list(request: Request, after: After = 0, limit: Limit = 20):
        return {"notes": await request.state.store.list(after, limit)}

    @api.get("/health")
    async def health():
        return PlainTextResponse("ok\n")

    @api.get("/ready")
    async def ready(request: Request):
        if request.app.state.is_stopping:
            return PlainTextResponse("stopping\n", 503)
        return PlainTextResponse("ready\n")

    @api.get("/metrics")
    async def metrics():
        observe.tasks.set(len(asyncio.all_tasks()))
        return Response(generate_latest(observe.registry), media_type=CONTENT_TYPE_LATEST)

    return api, observe


class Server(uvicorn.Server):
    """Serves during the notice after the first signal, while /ready fails."""

    def __init__(self, config, api, notice):
        super().__init__(config)
        self._api = api
        self._notice = notice

    async def startup(self, sockets=None):
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig, frame):
        stop = super().handle_exit
        if self._api.state.is_stopping or self._notice == 0:
            return stop(sig, frame)
        self._api.state.is_stopping = True
        # The handler of a signal runs between two lines of any code.
        wait = self._loop.call_later
        self._loop.call_soon_threadsafe(wait, self._notice, stop, sig, frame)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", default="127.0.0.1:8080")
    parser.add_argument("--database", default="notes.db")
    parser.add_argument("--queue", type=int, default=1000)
    parser.add_argument("--notice", type=int, default=0)
    parser.add_argument("--drain", type=int, default=25)
    settings = parser.parse_args()
    host, _, port = settings.address.rpartition(":")
    api, app = make(settings)
    config = uvicorn.Config(
        app,
        host=host,
        port=int(port),
        access_log=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=settings.drain,
    )
    Server(config, api, settings.notice).run()


if __name__ == "__main__":
    main()
