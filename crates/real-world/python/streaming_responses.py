# /// script
# requires-python = ">=3.11"
# dependencies = ["fastapi", "httpx", "uvicorn"]
# ///
import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterable

import httpx
import uvicorn
from fastapi import FastAPI
from fastapi.sse import EventSourceResponse
from pydantic import BaseModel


class Word(BaseModel):
    word: str


async def words(text):
    """Makes words, a tenth of a second each."""
    try:
        for word in text.split(" "):
            if word == "FAILURE":
                raise OSError("scheduled")
            yield Word(word=word)
            await asyncio.sleep(0.1)
    finally:
        print("server: the stream has ended")


def make_app():
    app = FastAPI()

    @app.get("/events", response_class=EventSourceResponse)
    async def events() -> AsyncIterable[Word]:
        async with contextlib.aclosing(words("one by one")) as stream:
            async for word in stream:
                yield word

    @app.get("/{kind}")
    async def lines(kind: str) -> AsyncIterable[Word]:
        texts = {
            "lines": "line by line",
            "long": "a b c d e f g h",
            "fails": "so far FAILURE",
        }
        async with contextlib.aclosing(words(texts[kind])) as stream:
            async for word in stream:
                yield word

    return app


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


async def read_events(response):
    """Yields the data of server-sent events."""
    data = []
    async for line in response.aiter_lines():
        if line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data.clear()


async def read(client, path, most):
    """Reads the words of a response until it ends, and at most so many."""
    async with client.stream("GET", path) as response:
        response.raise_for_status()
        lines = response.aiter_lines()
        try:
            for _ in range(most):
                line = await anext(lines, None)
                if line is None:
                    return
                print(f"client: {json.loads(line)['word']}")
            print("client: that is enough")
        except httpx.TransportError:
            print("client: the stream broke off")


async def main():
    logging.basicConfig(level=logging.CRITICAL)
    loop = asyncio.get_running_loop()
    # The server and the first request take time: they import modules.
    start = loop.time() + 0.5

    async def part(number):
        await asyncio.sleep(start + 0.5 * number - loop.time())

    # For each wait, not for the whole response.
    client = httpx.AsyncClient(timeout=10, trust_env=False)
    async with serve(make_app()) as url, client:
        await client.get(f"{url}/docs")
        client.base_url = url

        await part(0)
        print("Server-sent events:")
        async with client.stream("GET", "/events") as response:
            response.raise_for_status()
            async for data in read_events(response):
                print(f"client: {json.loads(data)['word']}")

        await part(1)
        print("JSON lines:")
        await read(client, "/lines", 10)

        await part(2)
        print("The client leaves after two words of eight:")
        await read(client, "/long", 2)

        await part(3)
        print("The server fails in the middle:")
        await read(client, "/fails", 10)
    await part(4)


asyncio.run(main())
