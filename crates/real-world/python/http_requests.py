# /// script
# requires-python = ">=3.11"
# dependencies = ["aiohttp"]
# ///
import asyncio
import contextlib
import dataclasses
import json
import socket

import aiohttp
from aiohttp import web


MAX_BODY = 2_000_000


# Post 3 comes when it is released.
RELEASE = web.AppKey("release", asyncio.Event)


class FetchError(Exception):
    pass


def session(connect, total):
    timeout = aiohttp.ClientTimeout(total=total, sock_connect=connect)
    return aiohttp.ClientSession(timeout=timeout)


async def read_limited(response, max_bytes):
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > max_bytes:
            raise FetchError(f"a body of more than {max_bytes} bytes")
    return bytes(body)


async def fetch_json(session, url, method="GET", **options):
    try:
        async with session.request(method, url, **options) as response:
            if not response.ok:
                message = b""
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, FetchError):
                    message = await read_limited(response, MAX_BODY)
                text = message.decode(errors="replace")
                raise FetchError(f"status {response.status}: {text}")
            return json.loads(await read_limited(response, MAX_BODY))
    except TimeoutError as error:
        raise FetchError("no answer in time") from error
    except aiohttp.ClientConnectionError as error:
        raise FetchError("no connection") from error
    except ValueError as error:
        raise FetchError("not the JSON that was expected") from error
    except aiohttp.ClientError as error:
        raise FetchError("the request failed") from error


@dataclasses.dataclass
class Post:
    title: str


async def fetch_post(session, url, **options):
    data = await fetch_json(session, url, **options)
    try:
        return Post(data["title"])
    except (TypeError, KeyError) as error:
        raise FetchError("not the JSON that was expected") from error


async def fetch_all(session, urls):
    fetches = [fetch_post(session, url) for url in urls]
    return await asyncio.gather(*fetches, return_exceptions=True)


def report(number, result):
    match result:
        case Post(title):
            print(f"post {number}: {title}")
        case FetchError():
            print(f"post {number}: {result}")
        case _:
            raise result


async def post(request):
    number = int(request.match_info["id"])
    if number == 3:
        await request.app[RELEASE].wait()
    if number in range(1, 4):
        return web.json_response({"title": f"Title {number}"})
    if number == 4:
        return web.json_response({"headline": "Title 4"})
    text = f'{{"error":"no post {number}"}}'
    return web.json_response(text=text, status=404)


async def add_post(request):
    """Tells what it was sent."""
    if request.headers.get("Authorization") != "Bearer secret":
        return web.Response(status=401)
    title = json.dumps((await request.json())["title"])
    return web.json_response({"title": f"{title} ({request.query_string})"})


async def endless(request):
    response = web.StreamResponse()
    await response.prepare(request)
    # Until the client leaves.
    with contextlib.suppress(ConnectionError):
        while True:
            await response.write(b"x" * 65_536)
    return response


async def hello(request):
    return web.json_response("hello")


class Server:
    """Counts the connections that are made to it."""

    def __init__(self, runner, connections):
        self.address = "{}:{}".format(*runner.addresses[0])
        self.connections = connections
        self.release = runner.app[RELEASE]

    def new_connections(self):
        count = len(self.connections)
        self.connections.clear()
        return count


@contextlib.asynccontextmanager
async def start_server():
    connections = set()

    @web.middleware
    async def note_connection(request, handler):
        connections.add(request.transport.get_extra_info("peername"))
        return await handler(request)

    app = web.Application(middlewares=[note_connection])
    app[RELEASE] = asyncio.Event()
    app.router.add_get("/posts/{id}", post)
    app.router.add_post("/posts", add_post)
    app.router.add_get("/endless", endless)
    app.router.add_get("/hello", hello)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield Server(runner, connections)
    finally:
        await runner.cleanup()


@contextlib.contextmanager
def closed_port():
    """A port that nobody else can take, and that does not listen."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield "{}:{}".format(*closed.getsockname())


async def greet_in_a_row(sessions, url):
    loop = asyncio.get_running_loop()
    start = loop.time()
    for number, session in enumerate(sessions):
        await asyncio.sleep(start + number * 0.1 - loop.time())
        print(await fetch_json(session, url))


async def main():
    # Post 3 alone takes as long as the second one.
    limits = (30, 1)
    long = (30, 30)
    no_hurry = {"timeout": aiohttp.ClientTimeout(total=30)}
    loop = asyncio.get_running_loop()
    ready = loop.time() + 0.5
    async with start_server() as server, session(*limits) as shared:

        posts = f"http://{server.address}/posts"

        await asyncio.sleep(ready - loop.time())
        print("Six concurrently, with 1 s for each:")
        urls = [f"{posts}/{number}" for number in range(1, 6)]
        with closed_port() as nobody:
            urls.append(f"http://{nobody}/posts/6")
            results = await fetch_all(shared, urls)
        for number, result in enumerate(results, 1):
            report(number, result)

        print("Post 3 again, with 30 s:")
        server.release.set()
        report(3, await fetch_post(shared, f"{posts}/3", **no_hurry))

        print("Post 5, without a look at the status:")
        async with shared.get(f"{posts}/5", **no_hurry) as response:
            data = await response.json()
        print(f"data: {data['error']}")

        print("A new post, with a query, without and with a token:")
        new = {
            "method": "POST",
            "params": {"draft": "yes"},
            "json": {"title": "New"},
        }
        for token in ({}, {"Authorization": "Bearer secret"}):
            try:
                post = await fetch_post(
                    shared, posts, headers=token, **new, **no_hurry
                )
            except FetchError as error:
                post = error
            report(6, post)

        print("A body without an end:")
        try:
            url = f"http://{server.address}/endless"
            post = await fetch_post(shared, url, **no_hurry)
        except FetchError as error:
            post = error
        report(7, post)

        url = f"http://{server.address}/hello"
        async with contextlib.AsyncExitStack() as stack:
            one = await stack.enter_async_context(session(*long))
            four = [
                await stack.enter_async_context(session(*long)) for _ in range(4)
            ]
            for whose, sessions in [
                ("one client", [one] * 4),
                ("four clients", four),
            ]:
                print(f"Four requests in a row with {whose}:")
                server.new_connections()
                await greet_in_a_row(sessions, url)
                print(f"connections: {server.new_connections()}")


asyncio.run(main())
