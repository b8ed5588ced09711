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


@app.get("/order")
async def order():
    """Two steps, of which the second must follow."""
    await asyncio.sleep(0.1)
    print("the order is charged")
    await asyncio.sleep(0.2)
    print("the order is shipped")


@app.get("/finished")
async def finished():
    await asyncio.create_task(order())


@app.get("/search")
async def search(request: Request):
    """Searches ten files, 0.1 s each."""
    for file in range(1, 11):
        await asyncio.sleep(0.1)
        if await request.is_disconnected():
            print(f"the search stops after file {file}")
            return
    print("the search has read all files")


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
    # The server and the first request take time: they import modules.
    start = loop.time() + 0.5

    async def part(number):
        await asyncio.sleep(start + 0.5 * number - loop.time())

    client = httpx.AsyncClient(timeout=0.15, trust_env=False)
    async with serve(app) as url, client:

        async def leave(path):
            try:
                await client.get(url + path)
                print("the client has its answer")
            except httpx.ReadTimeout:
                print("the client has left")

        await client.get(f"{url}/docs", timeout=10)
        await part(0)
        print("A handler that must be whole:")
        await leave("/order")

        await part(1)
        print("Its work in a task:")
        await leave("/finished")

        await part(2)
        print("Work that nobody needs without its client:")
        await leave("/search")
        await asyncio.sleep(0.1)
    await part(3)


asyncio.run(main())
