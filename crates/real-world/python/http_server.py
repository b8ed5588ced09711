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


class Nap:
    """Ends when it is told to."""

    def __init__(self):
        self.begun = asyncio.Event()
        self.end = asyncio.Event()
        self.ended = asyncio.Event()

    async def handle(self, request):
        self.begun.set()
        await self.end.wait()
        print("the handler has finished")
        self.ended.set()
        return web.Response()

    def again(self):
        for event in (self.begun, self.end, self.ended):
            event.clear()


async def never(request):
    await asyncio.Event().wait()


async def length(request):
    return web.Response(text=str(len(await request.text())))


async def send(session, method, path, **arguments):
    """Sends a request, and prints the status of its response."""
    try:
        async with session.request(method, path, **arguments) as response:
            print(f"{method} {path}: {response.status}")
    except aiohttp.ClientConnectorError:
        print(f"{method} {path}: no connection")


# No part takes as long.
LONG = 30


async def main():
    loop = asyncio.get_running_loop()
    ready = loop.time() + 0.5
    nap = Nap()
    routes = [
        web.get("/nap", nap.handle),
        web.post("/length", length),
        web.get("/never", never),
    ]
    stop = asyncio.Event()

    def start(request):
        listener = socket.create_server(("127.0.0.1", 0))
        root = "http://{}:{}".format(*listener.getsockname())
        limits = Limits(body=100, request=request, drain=LONG)
        return root, asyncio.create_task(serve(listener, routes, limits, stop))

    root, server = start(LONG)
    strict_root, strict_server = start(0.5)
    async with (
        aiohttp.ClientSession(root) as session,
        aiohttp.ClientSession(strict_root) as strict,
    ):
        # The clients take time to make.
        await asyncio.sleep(ready - loop.time())

        print("A body within the limit, and one that is too large:")
        await send(session, "POST", "/length", data="x" * 100)
        await send(session, "POST", "/length", data="x" * 101)

        print("A handler that takes too long, and a body that never ends:")
        await send(strict, "GET", "/never")

        async def half_a_body():
            yield b"half"
            await asyncio.Event().wait()

        await send(strict, "POST", "/length", data=half_a_body())

        print("A client leaves, and its handler keeps running:")
        asking = asyncio.create_task(send(session, "GET", "/nap"))
        await nap.begun.wait()
        asking.cancel()
        print("the client has left")
        nap.end.set()
        await nap.ended.wait()

        print("The server stops while it answers a request:")
        nap.again()
        answered = asyncio.create_task(send(session, "GET", "/nap"))
        await nap.begun.wait()
        stop.set()
        # Nobody listens any more.
        await strict_server
        await send(strict, "GET", "/nap")
        nap.end.set()
        await answered
    await server
    print("the server has stopped")


asyncio.run(main())
