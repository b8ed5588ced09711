# /// script
# requires-python = ">=3.11"
# dependencies = ["aiohttp"]
# ///
import asyncio
import contextlib

import aiohttp
from aiohttp import web

MAX_PAGE = 2_000_000


class TooLarge(Exception):
    pass


async def fetch_url(session, url):
    async with session.get(url, raise_for_status=True) as response:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > MAX_PAGE:
                raise TooLarge("the page is too large")
        return body.decode(errors="replace")


async def fetch_all(session, urls):
    fetches = [fetch_url(session, url) for url in urls]
    return await asyncio.gather(*fetches, return_exceptions=True)


async def page(request):
    await asyncio.sleep(0.4)
    return web.Response(text="Hello, reqwest!")


async def endless(request):
    response = web.StreamResponse()
    await response.prepare(request)
    # Until the client leaves.
    with contextlib.suppress(ConnectionError):
        while True:
            await response.write(b"x" * 65_536)
    return response


@contextlib.asynccontextmanager
async def start_server():
    app = web.Application()
    app.router.add_get("/page/{number}", page)
    app.router.add_get("/endless", endless)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield "http://{}:{}".format(*runner.addresses[0])
    finally:
        await runner.cleanup()


async def main():
    loop = asyncio.get_running_loop()
    start = loop.time() + 0.5
    timeout = aiohttp.ClientTimeout(total=30)
    async with (
        start_server() as root,
        aiohttp.ClientSession(timeout=timeout) as session,
    ):
        await asyncio.sleep(start - loop.time())
        print("Three pages that take 0.4 s each, a missing one, and an endless one:")
        paths = ["/page/1", "/page/2", "/page/3", "/missing", "/endless"]
        pages = await fetch_all(session, [root + path for path in paths])
        for path, result in zip(paths, pages):
            match result:
                case str(text):
                    print(f"{path}: {text}")
                case aiohttp.ClientResponseError(status=status, message=message):
                    print(f"{path}: {status} {message}")
                case error:
                    print(f"{path}: {error}")


asyncio.run(main())
