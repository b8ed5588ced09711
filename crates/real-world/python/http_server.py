# /// script
# requires-python = ">=3.11"
# dependencies = ["aiohttp"]
# ///
import asyncio
import socket
from dataclasses import dataclass

import aiohttp
from aiohttp import web


@dataclass
class Limits:
    """What the server allows. aiohttp leaves connections and headers to a proxy."""

    body: int
    request: float
    drain: float


def deadline(limit):
    @web.middleware
    async def middleware(request, handler):
        try:
            async with asyncio.timeout(limit):
                return await handler(request)
        except TimeoutError:
            return web.Response(status=504, text="the request took too long")

    return middleware


async def serve(listener, routes, limits, stop):
    """Serves until `stop` is set, and then lets the requests end."""
    app = web.Application(
        middlewares=[deadline(limits.request)], client_max_size=limits.body
    )
    app.add_routes(routes)
    # A handler goes on when its client leaves, unless `handler_cancellation=True`.
    runner = web.AppRunner(
        app,
        shutdown_timeout=limits.drain,
        # For so long it reads the rest of a body that is too large; 10 s by default.
        lingering_time=limits.drain,
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        await stop.wait()
    finally:
        await runner.cleanup()


async def nap(request):
    """Takes as many milliseconds as the path says."""
    await asyncio.sleep(int(request.match_info["millis"]) / 1000)
    print("the handler has finished")
    return web.Response()


async def length(request):
    return web.Response(text=str(len(await request.text())))


async def send(session, method, path, **arguments):
    """Sends a request, and prints the status of its response."""
    try:
        async with session.request(method, path, **arguments) as response:
            print(f"{method} {path}: {response.status}")
    except aiohttp.ClientConnectorError:
        print(f"{method} {path}: no connection")
    except TimeoutError:
        print(f"{method} {path}: the client gave up")


async def main():
    loop = asyncio.get_running_loop()
    # The client takes time to make. From then on, what is late does not add up.
    start = loop.time() + 0.5

    async def at(tenths):
        await asyncio.sleep(start + tenths / 10 - loop.time())

    listener = socket.create_server(("127.0.0.1", 0))
    root = "http://{}:{}".format(*listener.getsockname())
    routes = [web.get("/nap/{millis}", nap), web.post("/length", length)]
    limits = Limits(body=100, request=0.5, drain=0.4)
    stop = asyncio.Event()
    server = asyncio.create_task(serve(listener, routes, limits, stop))
    async with aiohttp.ClientSession(root) as session:

        async def post(body):
            await send(session, "POST", "/length", data=body)

        await at(0)
        print("A body within the limit, and one that is too large:")
        await post("x" * 100)
        await post("x" * 101)

        await at(1)
        print("A handler that takes too long, and a body that never ends:")
        await send(session, "GET", "/nap/2000")

        async def half_a_body():
            yield b"half"
            await asyncio.Event().wait()

        await post(half_a_body())

        await at(12)
        print("A client gives up, and its handler goes on:")
        timeout = aiohttp.ClientTimeout(total=0.1)
        await send(session, "GET", "/nap/300", timeout=timeout)

        await at(16)
        print("The server stops while it answers a request:")
        answered = asyncio.create_task(send(session, "GET", "/nap/300"))
        await at(17)
        stop.set()
        await at(18)
        await send(session, "GET", "/nap/0")
        await answered
    await server
    print("the server has stopped")


asyncio.run(main())
