# /// script
# requires-python = ">=3.11"
# dependencies = ["fastapi", "httpx", "uvicorn"]
# ///
import asyncio
import contextlib
import logging

import httpx
import uvicorn
from fastapi import FastAPI, Request

app = FastAPI()


class Signals:
    """What the handlers tell the client, and it tells them."""

    def __init__(self):
        self.has_begun = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.has_ended = asyncio.Event()


@app.get("/order")
async def order():
    """Two steps, of which the second must follow."""
    signals = app.state.signals
    print("the order is charged")
    signals.has_begun.set()
    await signals.may_go_on.wait()
    print("the order is shipped")
    signals.has_ended.set()


@app.get("/finished")
async def finished():
    await asyncio.create_task(order())


@app.get("/search")
async def search(request: Request):
    """Searches a thousand files, 10 ms each."""
    signals = app.state.signals
    for file in range(1, 1001):
        await asyncio.sleep(0.01)
        if file == 2:
            print("the search has begun")
            signals.has_begun.set()
        if await request.is_disconnected():
            print("the search stops before its last file")
            break
    else:
        print("the search has read all files")
    signals.has_ended.set()


@contextlib.asynccontextmanager
async def serve(app):
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


async def main():
    logging.basicConfig(level=logging.CRITICAL)
    loop = asyncio.get_running_loop()
    ready = loop.time() + 1
    async with serve(app) as url, httpx.AsyncClient(trust_env=False) as client:

        async def leave(path):
            signals = app.state.signals = Signals()
            asking = asyncio.create_task(client.get(url + path, timeout=30))
            await signals.has_begun.wait()
            asking.cancel()
            print("the client has left")
            signals.may_go_on.set()
            await signals.has_ended.wait()

        # The server and the client take time to start.
        await asyncio.sleep(ready - loop.time())
        print("A handler that must be whole:")
        await leave("/order")

        print("Its work in a task:")
        await leave("/finished")

        print("Work that nobody needs without its client:")
        await leave("/search")


asyncio.run(main())
