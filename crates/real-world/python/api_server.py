# /// script
# requires-python = ">=3.11"
# dependencies = ["aiohttp"]
# ///
import asyncio
import json
import socket
from collections import deque

import aiohttp
from aiohttp import web


class ApiError(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Jobs:
    """The jobs of the server."""

    def __init__(self, running, kept, work):
        self._running = running
        self._kept = kept
        self._work = work
        self._jobs = {}
        self._ended = deque()
        # Held here, as the loop itself holds tasks weakly.
        self._tasks = set()
        self.is_stopping = False
        self._last = 0

    def submit(self, text):
        if self.is_stopping:
            raise ApiError(503, "the server is about to stop")
        if len(self._tasks) >= self._running:
            raise ApiError(503, "too many jobs are running")
        self._last += 1
        self._jobs[self._last] = {"status": "running"}
        task = asyncio.create_task(self._run(self._last, text))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return self._last

    async def _run(self, id, text):
        try:
            ended = {"status": "done", "result": await self._work(text)}
        except ValueError as error:
            ended = {"status": "failed", "error": str(error)}
        except Exception:
            ended = {"status": "failed", "error": "internal error"}
        self._jobs[id] = ended
        self._ended.append(id)
        if len(self._ended) > self._kept:
            del self._jobs[self._ended.popleft()]

    def find(self, id):
        try:
            return self._jobs[int(id)]
        except (KeyError, ValueError):
            raise ApiError(404, f"there is no job {id}") from None

    async def drain(self, limit):
        """Waits for the jobs, and cancels those that are left after the limit."""
        self.is_stopping = True
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=limit)
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


@web.middleware
async def errors_are_json(request, handler):
    try:
        return await handler(request)
    except ApiError as error:
        headers = {"Retry-After": "1"} if error.status == 503 else {}
        body = {"error": str(error)}
        return web.json_response(body, status=error.status, headers=headers)


def make_app(jobs):
    app = web.Application(middlewares=[errors_are_json], client_max_size=10_000)
    api = Api(jobs)
    app.router.add_post("/jobs", api.submit)
    app.router.add_get("/jobs/{id}", api.status)
    app.router.add_get("/health", api.health)
    app.router.add_get("/ready", api.ready)
    return app


async def serve(listener, jobs, limit, stop):
    """For limits of time and size see `http_server`."""
    # Without `lingering_time` it reads a body that is too large for 10 s.
    runner = web.AppRunner(
        make_app(jobs), shutdown_timeout=limit, lingering_time=limit
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        await stop.wait()
    finally:
        await runner.cleanup()


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


async def ended(session, path):
    """Waits until a job has ended, and prints what the server answers then."""
    while True:
        async with session.get(path) as response:
            job = await response.json()
        if job.get("status") != "running":
            return await ask(session, "GET", path)
        await asyncio.sleep(0.01)


# No part takes as long.
LONG = 30


async def main():
    loop = asyncio.get_running_loop()
    ready = loop.time() + 0.5
    listener = socket.create_server(("127.0.0.1", 0))
    root = "http://{}:{}".format(*listener.getsockname())
    jobs = Jobs(2, 2, count_words)
    stop = asyncio.Event()
    server = asyncio.create_task(serve(listener, jobs, LONG, stop))
    timeout = aiohttp.ClientTimeout(total=LONG)
    async with aiohttp.ClientSession(root, timeout=timeout) as session:

        async def get(path):
            await ask(session, "GET", path)

        async def post(**arguments):
            await ask(session, "POST", "/jobs", **arguments)

        async def submit(text):
            await post(json={"text": text})

        # The client takes time to make.
        await asyncio.sleep(ready - loop.time())

        print("A job is submitted, and its result polled:")
        await submit("one two three four five six seven eight nine ten")
        await get("/jobs/1")
        await ended(session, "/jobs/1")
        await submit("")
        await ended(session, "/jobs/2")

        print("Two jobs run, one more is too many:")
        await submit("nine words, of which each takes a tenth more")
        await submit("ten words, of which each takes one tenth more time")
        await submit("too much")

        print("The results of the last two are kept:")
        for path in ["/jobs/3", "/jobs/4", "/jobs/2"]:
            await ended(session, path)

        print("A body that is no JSON:")
        await post(data="{", headers={"Content-Type": "application/json"})

        print("The server is told to stop, with two jobs:")
        await submit("soon done")
        await submit("and so on " * 200)
        jobs.is_stopping = True
        await get("/health")
        await get("/ready")
        await submit("no more")
        await ended(session, "/jobs/5")
        stop.set()
        await server
        await get("/health")
    print(f"dropped are the jobs {await jobs.drain(0.4)}")


asyncio.run(main())
