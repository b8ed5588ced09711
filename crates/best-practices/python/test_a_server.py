# /// script
# requires-python = ">=3.11"
# dependencies = ["httpx", "starlette", "uvicorn"]
# ///
import asyncio
import contextlib
import logging

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.routing import Route


def make_app(upstream, begun, ended):
    """The app under test. Its upstream takes that many seconds to make a report."""

    async def item(request):
        match request.path_params["id"]:
            case 1 | 2 | 3 as id:
                return PlainTextResponse(f"item {id}")
            case 4:
                raise RuntimeError("the bug")
        raise HTTPException(404, detail="no such item")

    async def report(request):
        begun.set()
        try:
            async with asyncio.timeout(30):
                await asyncio.sleep(upstream)
        except TimeoutError:
            raise HTTPException(504) from None
        return PlainTextResponse("the report")

    async def address(request):
        return PlainTextResponse(request.client.host)

    async def slow(request):
        try:
            await asyncio.sleep(1)
            print("the handler has answered")
        finally:
            print("the handler has ended")
            ended.set()
        return PlainTextResponse()

    return Starlette(
        routes=[
            Route("/items/{id:int}", item),
            Route("/report", report),
            Route("/address", address),
            Route("/slow", slow),
        ]
    )


def client_without_socket(app):
    transport = httpx.ASGITransport(app, client=("10.0.0.1", 80))
    return httpx.AsyncClient(transport=transport, base_url="http://test")


@contextlib.asynccontextmanager
async def serve(app):
    """Serves the app on a port of its own, and waits for its requests at the end."""
    config = uvicorn.Config(app, port=0, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started and not task.done():
        await asyncio.sleep(0.01)
    try:
        host, port = server.servers[0].sockets[0].getsockname()
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        await task


async def ask(client, path):
    try:
        response = await client.get(path)
    except httpx.TransportError:
        print(f"{path}: no answer")
    else:
        print(f"{path}: {response.status_code} {response.text}")


async def main():
    logging.basicConfig(level=logging.CRITICAL)
    begun, ended = asyncio.Event(), asyncio.Event()
    app = make_app(0.2, begun, ended)
    print("Without a socket:")
    async with client_without_socket(app) as client:
        await ask(client, "/items/1")
        await ask(client, "/items/9")
        try:
            await client.get("/items/4")
        except RuntimeError as bug:
            print(f"/items/4: {bug} ends the test")
        await ask(client, "/address")

    async with contextlib.AsyncExitStack() as stack:
        server = contextlib.AsyncExitStack()
        await stack.enter_async_context(server)
        url = await server.enter_async_context(serve(app))
        no_keep_alive = httpx.Limits(max_keepalive_connections=0)
        new_client = httpx.AsyncClient(base_url=url, limits=no_keep_alive)
        client = await stack.enter_async_context(new_client)
        # The first request over a socket takes longer: it imports modules.
        await client.get("/items/1")

        print("With a socket:")
        for path in ["/address", "/items/4", "/items/1"]:
            await ask(client, path)

        print("A client that leaves after 0.2 s:")
        try:
            await client.get("/slow", timeout=0.2)
        except httpx.ReadTimeout:
            print("/slow: the client has left")
        await ended.wait()

        print("A shutdown during a request:")
        last = asyncio.create_task(ask(client, "/report"))
        await begun.wait()
        await server.aclose()
        await last

        print("After the shutdown:")
        await ask(client, "/items/1")


asyncio.run(main())
