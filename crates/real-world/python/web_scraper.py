# /// script
# requires-python = ">=3.11"
# dependencies = ["aiohttp"]
# ///
import asyncio
import contextlib
import socket
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin, urlsplit
from urllib.robotparser import RobotFileParser

import aiohttp
from aiohttp import web
from aiohttp.abc import AbstractResolver

# In bytes. Longer URLs are left out.
MAX_URL = 2_000
# In bytes, as much as RFC 9309 asks for. Of a host with a larger one nothing is fetched.
MAX_ROBOTS = 500 * 1024


@dataclass
class Options:
    agent: str = "asyncio-to-tokio/0.1"
    max_requests: int = 10
    max_per_host: int = 2
    delay: float = 1
    timeout: float = 30
    max_bytes: int = 2_000_000
    max_depth: int = 3
    max_pages: int = 1000
    max_attempts: int = 3
    initial_backoff: float = 1

    def client(self, connector=None):
        return aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": self.agent},
            timeout=aiohttp.ClientTimeout(total=self.timeout),
        )


@dataclass
class Page:
    body: bytes
    links: list[str]

    def __str__(self):
        return f"{len(self.body)} bytes, {len(self.links)} links"


@dataclass
class Moved:
    url: str

    @property
    def links(self):
        return [self.url]

    def __str__(self):
        return f"moved to {self.url}"


class Failure(Exception):
    def __init__(self, reason, *, status=None, may_pass=False):
        super().__init__(reason)
        self.status = status
        self.may_pass = may_pass


async def scrape(client, first, options, report):
    permits = asyncio.Semaphore(options.max_requests)
    hosts = {urlsplit(url).netloc: Host(client, options, permits) for url in first}
    seen = set()
    # Found, and not yet reported.
    left = set()

    def find(url, depth):
        url = urldefrag(url).url
        host = hosts.get(urlsplit(url).netloc)
        fits = len(url) <= MAX_URL and len(seen) < options.max_pages
        if host and fits and url not in seen:
            seen.add(url)
            left.add(url)
            group.create_task(visit(host, url, depth))

    async def visit(host, url, depth):
        links = []
        try:
            outcome = await host.visit(url)
            links = outcome.links
        except Failure as failure:
            outcome = failure
        except Exception as error:
            outcome = Failure(f"crashed: {error!r}")
        if depth < options.max_depth:
            for link in links:
                find(link, depth + 1)
        left.remove(url)
        report(url, outcome)

    try:
        async with asyncio.TaskGroup() as group:
            for url in first:
                find(url, 0)
    finally:
        # When the scrape is cancelled.
        for url in left:
            report(url, Failure("stopped"))


class Host:
    def __init__(self, client, options, permits):
        self.client = client
        self.options = options
        self.permits = permits
        self.host_permits = asyncio.Semaphore(options.max_per_host)
        self.due = 0
        self.line = asyncio.Lock()
        self.rules = None
        self.reading = asyncio.Lock()

    async def visit(self, url):
        async with self.reading:
            if self.rules is None:
                self.rules = await self.read_rules(url)
        if isinstance(self.rules, Failure):
            raise self.rules
        if not self.rules.can_fetch(self.options.agent, url):
            raise Failure("robots.txt does not allow it")
        return await self.get(url, self.options.max_bytes)

    async def read_rules(self, page):
        url = urljoin(page, "/robots.txt")
        rules = RobotFileParser()
        for _ in range(6):
            try:
                match await self.get(url, MAX_ROBOTS):
                    case Page(body, _):
                        rules.parse(body.decode(errors="replace").splitlines())
                        return rules
                    case Moved(target):
                        url = target
            except Failure as failure:
                if failure.status in range(400, 500) and failure.status != 429:
                    rules.allow_all = True
                    return rules
                return Failure(f"robots.txt: {failure}")
        return Failure("robots.txt: more than 5 redirects")

    async def get(self, url, max_bytes):
        backoff = self.options.initial_backoff
        attempts = 1
        while True:
            try:
                async with self.turn():
                    return await fetch(self.client, url, max_bytes)
            except Failure as failure:
                if not failure.may_pass or attempts >= self.options.max_attempts:
                    raise
            await asyncio.sleep(backoff)
            attempts += 1
            backoff *= 2

    @contextlib.asynccontextmanager
    async def turn(self):
        loop = asyncio.get_running_loop()
        async with self.host_permits:
            async with self.line:
                begin = max(loop.time(), self.due)
                await asyncio.sleep(begin - loop.time())
                must_wait = self.permits.locked()
                await self.permits.acquire()
                if must_wait:
                    begin = loop.time()
                self.due = begin + self.options.delay
            try:
                yield
            finally:
                self.permits.release()


class Links(HTMLParser):
    """The targets of <a href=..>."""

    def __init__(self, page):
        super().__init__()
        self.page = page
        self.found = []

    def handle_starttag(self, tag, attributes):
        href = dict(attributes).get("href")
        if tag == "a" and href is not None:
            # A URL such as http://[x is no URL.
            with contextlib.suppress(ValueError):
                self.found.append(urljoin(self.page, href))


async def fetch(client, url, max_bytes):
    try:
        async with client.get(url, allow_redirects=False) as response:
            if 300 <= response.status < 400 and "Location" in response.headers:
                with contextlib.suppress(ValueError):
                    return Moved(urljoin(url, response.headers["Location"]))
            if response.status >= 300:
                raise Failure(
                    f"status {response.status}",
                    status=response.status,
                    may_pass=response.status in (429, 500, 502, 503, 504),
                )
            body = bytearray()
            async for chunk in response.content.iter_any():
                if len(body) + len(chunk) > max_bytes:
                    raise Failure(f"larger than {max_bytes} bytes")
                body += chunk
    except TimeoutError:
        raise Failure("timed out", may_pass=True) from None
    except aiohttp.ClientError as error:
        raise Failure(f"no answer: {error}", may_pass=True) from error
    links = Links(url)
    if response.content_type == "text/html":
        links.feed(body.decode(errors="replace"))
    return Page(bytes(body), links.found)


SITES = """\
news.example/robots.txt 0 disallow /private/
news.example/ 0 page / /slow /about#us /old /press /private /private/x /circle /%70rivate/
news.example/slow 60000 page
news.example/about 0 page /team http://elsewhere.example/ http://[x
news.example/team 600 page /team/more
news.example/old 300 page
news.example/press 0 move /private/press
news.example/circle 0 move /circle/back
news.example/circle/back 0 move /circle
shop.example/robots.txt 300 status 404
shop.example/ 150 page /lamps /chairs /error /missing /huge /next/1 /busy
shop.example/lamps 600 page
shop.example/chairs 600 page
shop.example/error 0 status 500
shop.example/huge 0 bytes 10001
shop.example/next/1 0 move /next/2
shop.example/next/2 0 move /next/3
shop.example/busy 0 once 503
"""
ANSWERS = {line.split()[0]: line.split()[1:] for line in SITES.splitlines()}


def sites():
    was_busy = False

    async def answer(request):
        nonlocal was_busy
        url = request.host + request.path_qs
        print(f"GET {url}")
        millis, *what = ANSWERS.get(url, ["0"])
        await asyncio.sleep(int(millis) / 1000)
        match what:
            case ["disallow", path]:
                return web.Response(text=f"User-agent: *\nDisallow: {path}\n")
            case ["move", target]:
                return web.Response(status=307, headers={"Location": target})
            case ["bytes", count]:
                return web.Response(text="x" * int(count))
            case ["status", code]:
                return web.Response(status=int(code))
            case ["once", code] if not was_busy:
                was_busy = True
                return web.Response(status=int(code))
            case ["once", _]:
                return web.Response(content_type="text/html")
            case ["page", *links]:
                text = "".join(f'<a href="{link}">here</a>\n' for link in links)
                return web.Response(text=text, content_type="text/html")
        return web.Response(status=404)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    return app


class Resolver(AbstractResolver):
    """Leads the names of the sites to the server here."""

    def __init__(self, port):
        self.port = port

    async def resolve(self, host, port=0, family=socket.AF_INET):
        found = {"hostname": host, "host": "127.0.0.1", "port": self.port}
        return [found | {"family": socket.AF_INET, "proto": 0, "flags": 0}]

    async def close(self):
        pass


async def scrape_and_report(client, first, options):
    outcomes = {}

    failed = 0

    def report(url, outcome):
        nonlocal failed
        outcomes[url] = outcome
        failed += isinstance(outcome, Failure)
        if sys.stderr.isatty():
            progress = f"{len(outcomes)} URLs, {failed} failed"
            print(progress, end="\r", file=sys.stderr, flush=True)

    try:
        await scrape(client, first, options, report)
    finally:
        print(f"{len(outcomes)} URLs, {failed} failed:")
        for url, outcome in sorted(outcomes.items()):
            print(f"{url}: {outcome}")


async def demonstration():
    loop = asyncio.get_running_loop()
    begin = loop.time() + 0.5
    runner = web.AppRunner(sites(), handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    connector = aiohttp.TCPConnector(resolver=Resolver(runner.addresses[0][1]))

    options = Options(
        max_requests=3,
        delay=0.2,
        timeout=0.8,
        max_bytes=10_000,
        max_depth=2,
        max_attempts=2,
        initial_backoff=0.25,
    )
    async with options.client(connector) as client:
        first = ["http://news.example/", "http://shop.example/"]

        await asyncio.sleep(begin - loop.time())
        print("Two sites with their hard cases:")
        await scrape_and_report(client, first, options)

        await asyncio.sleep(begin + 3.5 - loop.time())
        print("At most four pages, and stopped after 0.5 s:")
        options.max_pages = 4
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await scrape_and_report(client, first[:1], options)
    await runner.cleanup()


async def main():
    first = sys.argv[1:]
    if not first:
        await demonstration()
        return
    for url in first:
        if not urlsplit(url).netloc:
            sys.exit(f"{url}: a URL begins with https://")
    options = Options()
    async with options.client() as client:
        # Ctrl-C cancels this task; what is left has been reported then.
        with contextlib.suppress(asyncio.CancelledError):
            await scrape_and_report(client, first, options)


asyncio.run(main())
