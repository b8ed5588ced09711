# /// script
# requires-python = ">=3.11"
# dependencies = ["aiohttp"]
# ///
import asyncio
import contextlib
import dataclasses
import re

import aiohttp
from aiohttp import web
from yarl import URL

# The most bytes of a page.
MAX_PAGE = 2_000_000


@dataclasses.dataclass
class Page:
    title: str | None
    length: int

    @classmethod
    def from_text(cls, text):
        title = re.search("<title>(.*?)</title>", text, re.DOTALL)
        return cls(title and title[1].strip(), len(text))


@dataclasses.dataclass
class Fetched:
    url: URL
    page: Page | Exception


class TooLarge(Exception):
    pass


async def fetch(session, url):
    async with session.get(url, raise_for_status=True) as response:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > MAX_PAGE:
                raise TooLarge(f"more than {MAX_PAGE} bytes")
        return Page.from_text(body.decode(response.get_encoding(), "replace"))


@contextlib.asynccontextmanager
async def start_fetches(session, urls, limit):
    """Stops what is still running at the end of the scope."""
    semaphore = asyncio.Semaphore(limit)

    async def fetch_one(url):
        async with semaphore:
            try:
                return Fetched(url, await fetch(session, url))
            except (aiohttp.ClientError, TimeoutError, TooLarge) as error:
                return Fetched(url, error)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(fetch_one(url)) for url in urls]
        try:
            yield tasks
        finally:
            for task in tasks:
                task.cancel()


def report(fetched):
    path = fetched.url.path
    match fetched.page:
        case Page(title, length):
            print(f"{path}: {title or 'no title'}, {length} characters")
        case aiohttp.ClientResponseError(status=status, message=message):
            print(f"{path}: {status} {message}")
        case TimeoutError():
            print(f"{path}: no answer in time")
        case error:
            print(f"{path}: {error}")


class Server:
    sent = 0

    async def page(self, request):
        name = request.match_info["name"]
        if name == "stuck":
            await asyncio.Event().wait()
        await asyncio.sleep(int(request.match_info["millis"]) / 1000)
        self.sent += 1
        status, text = 200, f"<title>{name}</title>"
        if name == "untitled":
            text = "<p>Hello</p>"
        elif name == "Cafe":
            text = "<title>Café</title>"
        elif name == "missing":
            status, text = 404, "<title>Not found</title>"
        return web.Response(status=status, text=text, content_type="text/html")


@contextlib.asynccontextmanager
async def start_server(server):
    app = web.Application()
    app.router.add_get("/{name}/{millis}", server.page)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield URL("http://{}:{}".format(*runner.addresses[0]))
    finally:
        await runner.cleanup()


async def main():
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def at(seconds):
        await asyncio.sleep(start + seconds - loop.time())

    server = Server()
    timeout = aiohttp.ClientTimeout(total=2)
    async with (
        start_server(server) as root,
        aiohttp.ClientSession(timeout=timeout) as session,
    ):
        paths = ["Home/400", "Cafe/100", "missing/200", "untitled/200", "stuck/0"]
        urls = [root / path for path in paths]
        await at(0.5)
        print("As they come, 2 at once:")
        async with start_fetches(session, urls, 2) as tasks:
            for fetched in asyncio.as_completed(tasks):
                report(await fetched)

        await at(4)
        print("In the order of the list, 3 at once:")
        async with start_fetches(session, urls, 3) as tasks:
            for fetched in await asyncio.gather(*tasks):
                report(fetched)

        urls = [root / path for path in ["One/100", "Two/200", "Three/300"]]
        await at(7)
        print("Each is stored for 0.25 s before the next:")
        async with start_fetches(session, urls, 3) as tasks:
            for fetched in asyncio.as_completed(tasks):
                report(await fetched)
                await asyncio.sleep(0.25)

        await at(8.5)
        print("Only the first that comes:")
        server.sent = 0
        async with start_fetches(session, urls, 3) as tasks:
            for fetched in asyncio.as_completed(tasks):
                report(await fetched)
                break
        await asyncio.sleep(0.4)
        print(f"the server sent {server.sent} of 3")


asyncio.run(main())
