# /// script
# requires-python = ">=3.11"
# dependencies = ["aiohttp"]
# ///
import asyncio
import json
import socket
from collections import deque
from dataclasses import dataclass

import aiohttp
from aiohttp import web


@dataclass
class Limits:
    """What the server allows."""

    running: int
    waiting: int
    kept: int
    body: int
    request: float
    leave: float
    drain: float


class ApiError(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Jobs:
    """The jobs of the server."""

    def __init__(self, limits, work):
        self._work = work
        self._limits = limits
        self._jobs = {}
        self._ended = deque()
        self._permits = asyncio.Semaphore(limits.running)
        # Held here, as the loop itself holds tasks weakly.
        self._tasks = set()
        self.is_stopping = False
        self._last = 0

    def submit(self, text):
        if self.is_stopping:
            raise ApiError(503, "the server is about to stop")
        if len(self._tasks) == self._limits.running + self._limits.waiting:
            raise ApiError(503, "there are too many jobs")
        self._last += 1
        self._jobs[self._last] = {"status": "waiting"}
        task = asyncio.create_task(self._run(self._last, text))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return self._last

    async def _run(self, id, text):
        async with self._permits:
            self._jobs[id] = {"status": "running"}
            try:
                ended = {"status": "done", "words": await self._work(text)}
            except ValueError as error:
                ended = {"status": "failed", "error": str(error)}
            except Exception:
                ended = {"status": "failed", "error": "internal error"}
        self._jobs[id] = ended
        self._ended.append(id)
        if len(self._ended) > self._limits.kept:
            del self._jobs[self._ended.popleft()]

    def find(self, id):
        try:
            return self._jobs[int(id)]
        except (KeyError, ValueError):
            raise ApiError(404, f"there is no job {id}") from None

    async def drain(self):
        """Waits for the jobs, and cancels those that are left after the deadline."""
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=self._limits.drain)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        return sorted(self._jobs.keys() - self._ended)


class Api:
    def __init__(self, jobs):
        self._jobs = jobs

    async def submit(self, request):
        try:
            text = (await request.json())["text"]
        except (ValueError, KeyError, TypeError) as error:
            raise ApiError(400, "the body is no job in JSON") from error
        id = self._jobs.submit(text)
        headers = {"Location": f"/jobs/{id}"}
        return web.json_response({"id": id}, status=202, headers=headers)

    async def status(self, request):
        return web.json_response(self._jobs.find(request.match_info["id"]))

    async def health(self, request):
        return web.json_response({"status": "alive"})

    async def ready(self, request):
        if self._jobs.is_stopping:
            raise ApiError(503, "the server is about to stop")
        return web.json_response({"status": "ready"})


REASONS = {
    404: "there is no such path",
    405: "the path has not this method",
    413: "the body is too large",
}


def guard(limit):
    @web.middleware
    async def middleware(request, handler):
        """A deadline for each request, and JSON for each error."""
        try:
            async with asyncio.timeout(limit):
                return await handler(request)
        except TimeoutError:
            error = ApiError(504, "it takes too long")
        except ApiError as api_error:
            error = api_error
        except web.HTTPException as http:
            error = ApiError(http.status, REASONS.get(http.status, http.reason))
        headers = {"Retry-After": "1"} if error.status == 503 else {}
        body = {"error": str(error)}
        return web.json_response(body, status=error.status, headers=headers)

    return middleware


def make_app(limits, jobs):
    app = web.Application(
        middlewares=[guard(limits.request)], client_max_size=limits.body
    )
    api = Api(jobs)
    app.router.add_post("/jobs", api.submit)
    app.router.add_get("/jobs/{id}", api.status)
    app.router.add_get("/health", api.health)
    app.router.add_get("/ready", api.ready)
    return app


async def serve(listener, limits, work, stop):
    jobs = Jobs(limits, work)
    # A handler goes on when its client leaves, unless `handler_cancellation=True`.
    runner = web.AppRunner(
        make_app(limits, jobs),
        shutdown_timeout=limits.drain,
        # For so long it reads the rest of a body that is too large; 10 s by default.
        lingering_time=limits.drain,
    )
    await runner.setup()
    try:
        site = web.SockSite(runner, listener)
        await site.start()
        await stop.wait()
        jobs.is_stopping = True
        await asyncio.sleep(limits.leave)
    finally:
        _, dropped = await asyncio.gather(runner.cleanup(), jobs.drain())
    return dropped


async def count_words(text):
    """Counts the words of a text, and takes 0.1 s for each."""
    words = len(text.split())
    await asyncio.sleep(0.1 * words)
    if words == 0:
        raise ValueError("the text is empty")
    return words


async def ask(session, method, path, **arguments):
    """Asks the server, and prints what it answers."""
    try:
        async with session.request(method, path, **arguments) as response:
            body = await response.json()
    except aiohttp.ClientConnectorError:
        print(f"{method} {path}: no connection")
        return
    body = json.dumps(body, separators=(",", ":"), sort_keys=True)
    retry_after = response.headers.get("Retry-After")
    after = f", again after {retry_after} s" if retry_after else ""
    print(f"{method} {path}: {response.status} {body}{after}")


async def main():
    loop = asyncio.get_running_loop()
    moment = 0.1
    # The client takes time to make. From then on, what is late does not add up.
    start = loop.time() + 5 * moment

    async def at(moments):
        await asyncio.sleep(start + moments * moment - loop.time())

    limits = Limits(
        running=1,
        waiting=1,
        kept=2,
        body=100,
        request=5 * moment,
        leave=5 * moment,
        drain=4 * moment,
    )
    listener = socket.create_server(("127.0.0.1", 0))
    root = "http://{}:{}".format(*listener.getsockname())
    stop = asyncio.Event()
    server = asyncio.create_task(serve(listener, limits, count_words, stop))
    timeout = aiohttp.ClientTimeout(total=50 * moment)
    async with aiohttp.ClientSession(root, timeout=timeout) as session:

        async def get(path):
            await ask(session, "GET", path)

        async def post(**arguments):
            await ask(session, "POST", "/jobs", **arguments)

        async def submit(text):
            await post(json={"text": text})

        await at(0)
        print("A job is submitted, and its result polled:")
        await submit("one two three four five six")
        await at(2)
        await get("/jobs/1")
        await at(9)
        await get("/jobs/1")
        await get("/jobs/9")

        await at(10)
        print("One job runs, one waits, one more is too many:")
        await submit("these are six words, one each")
        await submit("")
        await submit("too much")
        await at(12)
        await get("/jobs/2")
        await get("/jobs/3")

        await at(19)
        print("Of those that have ended two are kept:")
        for path in ["/jobs/1", "/jobs/2", "/jobs/3"]:
            await get(path)

        await at(21)
        print("Errors are JSON too:")
        await submit("x" * 90)
        headers = {"Content-Type": "application/json"}
        await post(data="{", headers=headers)
        await get("/jobs")
        await get("/nothing")

        await at(23)
        print("A request has 0.5 s, and half of this one never comes:")

        async def half_a_body():
            yield b'{"text":'
            await asyncio.Event().wait()

        await post(data=half_a_body(), headers=headers)

        await at(30)
        print("The server is told to stop, with two jobs:")
        await submit("this is soon done")
        await submit("it takes so long that it is dropped")
        stop.set()
        await at(32)
        await get("/health")
        await get("/ready")
        await submit("no more")
        await at(38)
        await get("/health")
        print(f"dropped are the jobs {await server}")


asyncio.run(main())
