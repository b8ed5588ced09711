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


@dataclass
class Limits:
    max_visits: int = 10
    delay: float = 1
    max_depth: int = 3
    max_pages: int = 1000


class Host:
    def __init__(self):
        self.lock = asyncio.Lock()
        self.due = 0


async def crawl(first, limits, visit, report):
    """Visits each URL once, one of a host at a time, and reports its outcome."""
    hosts = {urlsplit(url).netloc: Host() for url in first}
    permits = asyncio.Semaphore(limits.max_visits)
    seen = set()

    def find(url, depth):
        url = urldefrag(url).url
        host = hosts.get(urlsplit(url).netloc)
        fits = len(url) <= 2_000 and len(seen) < limits.max_pages
        if host and fits and url not in seen:
            seen.add(url)
            group.create_task(visit_in_turn(host, url, depth))

    async def visit_in_turn(host, url, depth):
        loop = asyncio.get_running_loop()
        async with host.lock:
            await asyncio.sleep(host.due - loop.time())
            async with permits:
                host.due = loop.time() + limits.delay
                try:
                    outcome, links = await visit(url)
                except Exception as error:
                    outcome, links = error, []
        if depth < limits.max_depth:
            for link in links:
                find(link, depth + 1)
        report(url, outcome)

    async with asyncio.TaskGroup() as group:
        for url in first:
            find(url, 0)


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
    """Returns the status, the body and the links, or the target of a redirect."""
    async with client.get(url, allow_redirects=False) as response:
        body = bytearray()
        async for chunk in response.content.iter_any():
            if len(body) + len(chunk) > max_bytes:
                raise ValueError(f"larger than {max_bytes} bytes")
            body += chunk
    links = Links(url)
    if 300 <= response.status < 400 and "Location" in response.headers:
        with contextlib.suppress(ValueError):
            links.found.append(urljoin(url, response.headers["Location"]))
    elif response.content_type == "text/html":
        links.feed(body.decode(errors="replace"))
    return response.status, bytes(body), links.found


class PoliteClient:
    """Asks robots.txt first, once for each host."""

    def __init__(self, client):
        self.client = client
        self.robots = {}

    async def visit(self, url):
        host = urlsplit(url).netloc
        if host not in self.robots:
            robots = RobotFileParser()
            status, body, _ = await fetch(
                self.client, urljoin(url, "/robots.txt"), 500 * 1024
            )
            if 400 <= status < 500 and status != 429:
                robots.allow_all = True
            elif status != 200:
                raise ConnectionError(f"robots.txt: status {status}")
            else:
                robots.parse(body.decode(errors="replace").splitlines())
            self.robots[host] = robots
        if not self.robots[host].can_fetch("my-crawler/1.0", url):
            raise PermissionError("forbidden by robots.txt")
        status, _, links = await fetch(self.client, url, 10_000)
        return f"{status}, {len(links)} links", links


SITES = """\
news.example/robots.txt 0 disallow /private/
news.example/ 0 page / /slow /about#us /press /private/x /%70rivate/
news.example/slow 60000 page
news.example/about 0 page /team http://elsewhere.example/ http://[x
news.example/team 0 page /team/more
news.example/press 0 move /private/press
shop.example/robots.txt 750 status 404
shop.example/ 0 page /lamps /missing /huge /old
shop.example/lamps 900 page
shop.example/huge 0 bytes 10001
shop.example/old 0 move /lamps
"""
ANSWERS = {line.split()[0]: line.split()[1:] for line in SITES.splitlines()}


async def answer(request):
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
        case ["page", *links]:
            text = "".join(f'<a href="{link}">here</a>\n' for link in links)
            return web.Response(text=text, content_type="text/html")
    return web.Response(status=404)


class Resolver(AbstractResolver):
    """Leads the names of the sites to the server here."""

    def __init__(self, port):
        self.port = port

    async def resolve(self, host, port=0, family=socket.AF_INET):
        found = {"hostname": host, "host": "127.0.0.1", "port": self.port}
        return [found | {"family": socket.AF_INET, "proto": 0, "flags": 0}]

    async def close(self):
        pass


async def crawl_and_show(client, first, limits):
    outcomes = {}

    def report(url, outcome):
        timed_out = isinstance(outcome, TimeoutError)
        outcomes[url] = "timed out" if timed_out else outcome

    try:
        await crawl(first, limits, client.visit, report)
    finally:
        print(f"{len(outcomes)} URLs:")
        for url, outcome in sorted(outcomes.items()):
            print(f"{url}: {outcome}")


async def demonstration():
    loop = asyncio.get_running_loop()
    begin = loop.time() + 0.5
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    connector = aiohttp.TCPConnector(resolver=Resolver(runner.addresses[0][1]))
    async with aiohttp.ClientSession(
        connector=connector, timeout=aiohttp.ClientTimeout(total=1.2)
    ) as session:
        client = PoliteClient(session)
        limits = Limits(max_visits=3, delay=0.6, max_depth=2)
        first = ["http://news.example/", "http://shop.example/"]

        await asyncio.sleep(begin - loop.time())
        print("Two sites, and 0.6 s between two visits to one:")
        await crawl_and_show(client, first, limits)

        await asyncio.sleep(begin + 6 - loop.time())
        print("One site, at most three URLs, stopped after 1.5 s:")
        limits.max_pages = 3
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.5):
                await crawl_and_show(client, first[:1], limits)
    await runner.cleanup()


async def check_site(first):
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(30)) as session:
        report = lambda url, outcome: print(f"{url}: {outcome}")  # noqa: E731
        await crawl(first, Limits(), PoliteClient(session).visit, report)


asyncio.run(check_site(sys.argv[1:]) if sys.argv[1:] else demonstration())
