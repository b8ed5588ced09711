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
    await asyncio.sleep(0.7 if number == 3 else 0.3)
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
    while True:
        await response.write(b"x" * 65_536)


async def hello(request):
    return web.json_response("hello")


class Server:
    """Counts the connections that are made to it."""

    def __init__(self, runner, connections):
        self.address = "{}:{}".format(*runner.addresses[0])
        self.connections = connections

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
    limits = (0.2, 0.5)
    loop = asyncio.get_running_loop()
    first = loop.time() + 0.5

    async def part(number):
        await asyncio.sleep(first + number * 0.8 - loop.time())

    async with start_server() as server, session(*limits) as shared:

        posts = f"http://{server.address}/posts"

        await part(0)
        print("Six at once, with 0.5 s for each:")
        urls = [f"{posts}/{number}" for number in range(1, 6)]
        with closed_port() as nobody:
            urls.append(f"http://{nobody}/posts/6")
            results = await fetch_all(shared, urls)
        for number, result in enumerate(results, 1):
            report(number, result)

        await part(1)
        print("Post 3 again, with 2 s:")
        timeout = aiohttp.ClientTimeout(total=2)
        report(3, await fetch_post(shared, f"{posts}/3", timeout=timeout))

        await part(2)
        print("Post 5, without a look at the status:")
        async with shared.get(f"{posts}/5") as response:
            data = await response.json()
        print(f"data: {data['error']}")

        await part(3)
        print("A new post, with a query, without and with a token:")
        new = {
            "method": "POST",
            "params": {"draft": "yes"},
            "json": {"title": "New"},
        }
        for token in ({}, {"Authorization": "Bearer secret"}):
            try:
                post = await fetch_post(shared, posts, headers=token, **new)
            except FetchError as error:
                post = error
            report(6, post)

        await part(4)
        print("A body without an end:")
        timeout = aiohttp.ClientTimeout(total=20)
        try:
            url = f"http://{server.address}/endless"
            post = await fetch_post(shared, url, timeout=timeout)
        except FetchError as error:
            post = error
        report(7, post)

        url = f"http://{server.address}/hello"
        async with contextlib.AsyncExitStack() as stack:
            one = await stack.enter_async_context(session(*limits))
            four = [
                await stack.enter_async_context(session(*limits)) for _ in range(4)
            ]
            for number, whose, sessions in [
                (5, "one client", [one] * 4),
                (6, "four clients", four),
            ]:
                await part(number)
                print(f"Four requests in a row with {whose}:")
                server.new_connections()
                await greet_in_a_row(sessions, url)
                print(f"connections: {server.new_connections()}")


asyncio.run(main())
