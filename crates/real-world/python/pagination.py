# /// script
# requires-python = ">=3.11"
# dependencies = ["aiohttp"]
# ///
import asyncio
import contextlib
import json

import aiohttp
from aiohttp import web


class PageError(Exception):
    pass


class Source:
    def __init__(self, session, url, *, max_retries, max_wait, max_pages, max_bytes):
        self.session = session
        self.url = url
        self.max_retries = max_retries
        self.max_wait = max_wait
        self.max_pages = max_pages
        self.max_bytes = max_bytes

    async def items(self):
        seen = set()
        fetch = asyncio.create_task(self.fetch())
        try:
            while fetch is not None:
                page = await fetch
                fetch = None
                error = None
                # With an empty one some servers say that this was the last page.
                if cursor := page["next"]:
                    if cursor in seen:
                        error = f'the cursor "{cursor}" came again'
                    elif len(seen) + 1 >= self.max_pages:
                        error = f"more than {self.max_pages} pages"
                    else:
                        seen.add(cursor)
                        fetch = asyncio.create_task(self.fetch(cursor))
                for item in page["items"]:
                    yield item
                if error is not None:
                    raise PageError(error)
        finally:
            if fetch is not None:
                fetch.cancel()

    async def fetch(self, cursor=None):
        params = {} if cursor is None else {"cursor": cursor}
        retries = self.max_retries
        while True:
            try:
                async with self.session.get(self.url, params=params) as response:
                    if response.ok:
                        return json.loads(await self.read(response))
                    wait = retry_after(response)
            except (aiohttp.ClientError, TimeoutError) as error:
                raise PageError("no page came") from error
            except ValueError as error:
                raise PageError("not the page that was expected") from error
            if wait is None or not retries or wait > self.max_wait:
                raise PageError(f"status {response.status} {response.reason}")
            retries -= 1
            await asyncio.sleep(wait)

    async def read(self, response):
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > self.max_bytes:
                raise PageError(f"a page of more than {self.max_bytes} bytes")
        return body


def retry_after(response):
    """The seconds, instead of which a server may also name a date."""
    if response.status not in (429, 503):
        return None
    seconds = response.headers.get("Retry-After", "")
    return int(seconds) if seconds.isdecimal() else None


class Server:
    """Has six items on three pages, and counts how often it is asked."""

    def __init__(self):
        self.count = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls):
        self = cls()
        app = web.Application()
        app.router.add_get("/{kind}", self.page)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = "http://{}:{}".format(*runner.addresses[0])
            yield self
        finally:
            await runner.cleanup()

    def items(self, session, kind):
        source = Source(
            session,
            f"{self.url}/{kind}",
            max_retries=2,
            max_wait=5,
            max_pages=3,
            max_bytes=1_000,
        )
        return source.items()

    def requests(self):
        count, self.count = self.count, 0
        return count

    async def page(self, request):
        self.count += 1
        requests = self.count
        await asyncio.sleep(0.2)
        number = int(request.query.get("cursor", 1))
        match request.match_info["kind"], number:
            case "busy", 2 if requests == 2:
                return web.Response(status=503, headers={"Retry-After": "1"})
            case "broken", 2:
                return web.Response(status=500)
            case "large", 2:
                return web.Response(text="[" * 1_001)
            case "circle", 2:
                following = "2"
            case ("endless", _) | (_, 1 | 2):
                following = str(number + 1)
            case _:
                following = None
        items = [2 * number - 1, 2 * number]
        return web.json_response({"items": items, "next": following})


async def consume(items):
    async with contextlib.aclosing(items):
        try:
            async for item in items:
                print(f"item {item}")
                await asyncio.sleep(0.1)
            print("the end")
        except PageError as error:
            print(error)


async def main():
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def at(tenths):
        await asyncio.sleep(start + tenths / 10 - loop.time())

    limit = aiohttp.ClientTimeout(total=5)
    async with (
        Server.start() as server,
        aiohttp.ClientSession(timeout=limit) as session,
    ):

        await at(3)
        print("A page takes 0.2 s, and so does the work on its two items:")
        await consume(server.items(session, "good"))
        print(f"requests: {server.requests()}")

        await at(12)
        print("Only one item is wanted:")
        async with contextlib.aclosing(server.items(session, "good")) as items:
            print(f"item {await anext(items)}")
            await asyncio.sleep(0.1)
        await at(18)
        print(f"requests: {server.requests()}")

        print("The server is busy once; the second page is retried:")
        await consume(server.items(session, "busy"))
        print(f"requests: {server.requests()}")

        await at(40)
        print("The second page does not come:")
        await consume(server.items(session, "broken"))

        await at(46)
        print("The second page names itself as the next page:")
        await consume(server.items(session, "circle"))

        await at(54)
        print("Each page names another one:")
        await consume(server.items(session, "endless"))

        await at(66)
        print("The second page is large:")
        await consume(server.items(session, "large"))


asyncio.run(main())
