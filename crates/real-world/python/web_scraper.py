# /// script
# requires-python = ">=3.11"
# dependencies = ["aiohttp"]
# ///
import asyncio
import contextlib
import heapq
import itertools
import socket
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin, urlsplit
from urllib.robotparser import RobotFileParser

import aiohttp
from aiohttp import web
from aiohttp.abc import AbstractResolver


@dataclass
class Options:
    agent: str = "asyncio-to-tokio/0.1"
    at_once: int = 10
    per_host: int = 2
    delay: float = 1
    connect_timeout: float = 10
    timeout: float = 30
    bytes: int = 2_000_000
    depth: int = 2
    redirects: int = 5
    pages: int = 1000
    tries: int = 3
    pause: float = 1

    def client(self, connector=None):
        return aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": self.agent},
            timeout=aiohttp.ClientTimeout(
                total=self.timeout, sock_connect=self.connect_timeout
            ),
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

    def __str__(self):
        return f"moved to {self.url}"


class Failure(Exception):
    def __init__(self, reason, *, may_pass=False, is_absent=False):
        super().__init__(reason)
        self.may_pass = may_pass
        self.is_absent = is_absent


class Links(HTMLParser):
    """The targets of <a href=..>."""

    def __init__(self, page):
        super().__init__()
        self.page = page
        self.found = []

    def handle_starttag(self, tag, attributes):
        href = dict(attributes).get("href")
        if tag == "a" and href is not None:
            self.found.append(urljoin(self.page, href))


async def fetch(client, url, limit):
    try:
        async with client.get(url, allow_redirects=False) as response:
            if 300 <= response.status < 400 and "Location" in response.headers:
                return Moved(urljoin(url, response.headers["Location"]))
            if response.status >= 300:
                raise Failure(
                    f"status {response.status}",
                    may_pass=response.status in (429, 500, 502, 503, 504),
                    is_absent=response.status in range(400, 500)
                    and response.status != 429,
                )
            body = bytearray()
            async for chunk in response.content.iter_any():
                if len(body) + len(chunk) > limit:
                    raise Failure(f"larger than {limit} bytes")
                body += chunk
    except TimeoutError:
        raise Failure("timed out", may_pass=True) from None
    except aiohttp.ClientError as error:
        raise Failure(f"no answer: {error}", may_pass=True) from error
    links = Links(url)
    if response.content_type == "text/html":
        links.feed(body.decode(errors="replace"))
    return Page(bytes(body), links.found)


@dataclass(order=True)
class Job:
    due: float
    number: int
    url: str = field(compare=False)
    depth: int = field(compare=False)
    redirects: int = field(compare=False)
    tries: int = field(compare=False, default=0)


class Site:
    def __init__(self, client, options, permits, report):
        self.client = client
        self.options = options
        self.permits = permits
        self.report = report
        self.rules = None
        self.due = 0
        self.seen = set()
        self.queue = []
        self.numbers = itertools.count()

    async def scrape(self, first):
        self.find(urljoin(first[0], "/robots.txt"), 0, 0)
        waiting = first
        try:
            await self.work_off()
            if self.rules is None:
                self.rules = RobotFileParser()
                self.rules.disallow_all = True
            self.seen.clear()
            waiting = []
            for url in first:
                self.find(url, 0, 0)
            await self.work_off()
        finally:
            # When the scrape is cancelled.
            jobs = [] if waiting else self.queue
            for url in waiting + [job.url for job in jobs]:
                self.report(url, Failure("stopped"))

    async def work_off(self):
        tasks = {}
        try:
            while tasks or self.queue:
                has_room = len(tasks) < self.options.per_host
                now = asyncio.get_running_loop().time()
                timeout = None
                if has_room and self.queue:
                    begin = max(self.queue[0].due, self.due, now)
                    timeout = begin - now
                ended = set()
                if tasks:
                    ended, _ = await asyncio.wait(
                        tasks,
                        timeout=timeout,
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                else:
                    await asyncio.sleep(timeout)
                for task in ended:
                    self.end(tasks.pop(task), task)
                if ended:
                    continue
                must_wait = self.permits.locked()
                await self.permits.acquire()
                if must_wait:
                    begin = asyncio.get_running_loop().time()
                self.due = begin + self.options.delay
                job = heapq.heappop(self.queue)
                task = asyncio.create_task(
                    fetch(self.client, job.url, self.options.bytes)
                )
                task.add_done_callback(lambda _: self.permits.release())
                tasks[task] = job
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.queue.extend(tasks.values())

    def find(self, url, depth, redirects):
        url = urldefrag(url).url
        if len(self.seen) >= self.options.pages or url in self.seen:
            return
        self.seen.add(url)
        if self.rules and not self.rules.can_fetch(self.options.agent, url):
            self.report(url, Failure("robots.txt does not allow it"))
            return
        self.add(Job(0, 0, url, depth, redirects), 0)

    def add(self, job, pause):
        job.due = asyncio.get_running_loop().time() + pause
        job.number = next(self.numbers)
        heapq.heappush(self.queue, job)

    def end(self, job, task):
        try:
            outcome = task.result()
        except Failure as failure:
            outcome = failure
        job.tries += 1
        if isinstance(outcome, Failure) and outcome.may_pass:
            if job.tries < self.options.tries:
                self.add(job, self.options.pause * 2 ** (job.tries - 1))
                return

        is_robots = self.rules is None

        def is_near(url):
            target = urlsplit(url)
            is_web = target.scheme in ("http", "https")
            return is_web and target.hostname == urlsplit(job.url).hostname

        match outcome:
            case Moved() if job.redirects == self.options.redirects:
                outcome = Failure(f"more than {job.redirects} redirects")
            case Moved(url) if is_near(url) or is_robots:
                self.find(url, job.depth, job.redirects + 1)
            case Page(_, links) if job.depth < self.options.depth and not is_robots:
                for url in filter(is_near, links):
                    self.find(url, job.depth + 1, 0)
        if not is_robots:
            self.report(job.url, outcome)
            return
        match outcome:
            case Page(body, _):
                self.rules = RobotFileParser()
                self.rules.parse(body.decode(errors="replace").splitlines())
            case Failure() if outcome.is_absent:
                self.rules = RobotFileParser()
                self.rules.allow_all = True
            case Failure():
                self.report(job.url, outcome)


async def scrape(client, first, options, report):
    permits = asyncio.Semaphore(options.at_once)
    hosts = {}
    for url in first:
        hosts.setdefault(urlsplit(url).hostname, []).append(url)
    async with asyncio.TaskGroup() as group:
        for host in sorted(hosts):
            site = Site(client, options, permits, report)
            group.create_task(site.scrape(hosts[host]))


SITES = """\
news.example/robots.txt robots /private/
news.example/ page 0 / /slow /about#us /archive /press /private /private/notes /circle
news.example/slow page 60000
news.example/about page 0 /team http://shop.example/
news.example/team page 600 /team/more
news.example/archive page 400
news.example/press move /private/press
news.example/circle move /circle/back
news.example/circle/back move /circle
shop.example/ page 200 /lamps /chairs /error /missing /endless /next/1 /busy
shop.example/lamps page 600
shop.example/chairs page 600
shop.example/error status 500
shop.example/endless endless
shop.example/next/1 move /next/2
shop.example/next/2 move /next/3
shop.example/next/3 move /next/4
shop.example/busy once 503
"""
ANSWERS = {line.split()[0]: line.split()[1:] for line in SITES.splitlines()}


def sites():
    was_busy = False

    async def answer(request):
        nonlocal was_busy
        url = request.host + request.path_qs
        print(f"GET {url}")
        match ANSWERS.get(url):
            case ["robots", path]:
                return web.Response(text=f"User-agent: *\nDisallow: {path}\n")
            case ["move", target]:
                return web.Response(status=307, headers={"Location": target})
            case ["once", code] if not was_busy:
                was_busy = True
                return web.Response(status=int(code))
            case ["once", _]:
                return web.Response(content_type="text/html")
            case ["endless"]:
                response = web.StreamResponse()
                await response.prepare(request)
                with contextlib.suppress(ConnectionError):
                    while True:
                        await asyncio.sleep(0.02)
                        await response.write(b"more " * 1000)
                return response
            case ["page", millis, *links]:
                await asyncio.sleep(int(millis) / 1000)
                text = "".join(f'<a href="{link}">here</a>\n' for link in links)
                return web.Response(text=text, content_type="text/html")
            case ["status", code]:
                return web.Response(status=int(code))
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


async def scrape_sites(options, first, time_limit=None):
    runner = web.AppRunner(sites(), handler_cancellation=True)
    await runner.setup()
    server = web.TCPSite(runner, "127.0.0.1", 0)
    await server.start()
    port = runner.addresses[0][1]
    report = {}
    connector = aiohttp.TCPConnector(resolver=Resolver(port))
    async with options.client(connector) as client:
        try:
            async with asyncio.timeout(time_limit):
                await scrape(client, first, options, report.__setitem__)
        except TimeoutError:
            pass
        print("Report:")
        for url, outcome in sorted(report.items()):
            print(f"{url}: {outcome}")
    await runner.cleanup()


async def demonstration():
    options = Options(
        at_once=3,
        per_host=2,
        delay=0.2,
        timeout=0.8,
        bytes=10_000,
        depth=2,
        redirects=2,
        tries=2,
        pause=0.25,
    )
    print("Two sites with their hard cases:")
    first = ["http://news.example/", "http://shop.example/"]
    await scrape_sites(options, first)

    print("At most four pages, and stopped after 0.5 s:")
    options.pages = 4
    await scrape_sites(options, first[:1], 0.5)


async def program(first):
    counts = {Page: 0, Moved: 0, Failure: 0}

    def report(url, outcome):
        counts[type(outcome)] += 1
        print(f"{url}: {outcome}")
        if sys.stderr.isatty():
            progress = f"{counts[Page]} pages, {counts[Failure]} failed"
            print(progress, end="\r", file=sys.stderr, flush=True)

    options = Options()
    try:
        async with options.client() as client:
            await scrape(client, first, options, report)
    except asyncio.CancelledError:
        pass  # Ctrl-C: what is left has been reported
    print(f"{counts[Page]} pages, {counts[Failure]} failed")
    return int(counts[Page] == 0)


async def main():
    first = sys.argv[1:]
    if not first:
        await demonstration()
        return 0
    for url in first:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            print(
                f"error: `{url}` is no URL such as https://example.com/\n"
                "usage: web_scraper.py [URL]...",
                file=sys.stderr,
            )
            return 2
    return await program(first)


if code := asyncio.run(main()):
    sys.exit(code)
