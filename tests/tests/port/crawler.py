"""Crawls pages, extracts words in other processes, and writes counts to SQLite."""

import argparse
import asyncio as aio
import sys
import threading
import time
from asyncio import Queue as Q
from asyncio import Semaphore, TaskGroup
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import aiosqlite
import httpx
import requests
from bs4 import BeautifulSoup
from tenacity import retry, stop_after_attempt

seen = set()
pages = 0
progress_lock = threading.Lock()


def words_of(html):
    """Runs in a process of its own."""
    return Counter(BeautifulSoup(html, "html.parser").get_text().lower().split())


def allowed(host):
    robots = requests.get(f"https://{host}/robots.txt", timeout=5)
    return "Disallow: /\n" not in robots.text


class Robots:
    """Remembers which hosts may be crawled."""

    def __init__(self):
        self.known: dict[str, aio.Future[bool]] = {}

    async def may(self, host):
        if host not in self.known:
            loop = aio.get_running_loop()
            self.known[host] = loop.create_future()
            answer = await aio.to_thread(allowed, host)
            self.known[host].set_result(answer)
        return await aio.shield(self.known[host])


class Crawler:
    def __init__(self, client: httpx.AsyncClient, jobs: int):
        self.client = client
        self.limit = Semaphore(jobs)
        self.queue = Q(maxsize=1000)
        self.results: "aio.Queue[tuple[str, Counter]]" = aio.LifoQueue()
        self.robots = Robots()
        self.hosts = {}
        self.pool = ProcessPoolExecutor(2)

    @retry(stop=stop_after_attempt(3))
    async def fetch(self, url):
        lock = self.hosts.setdefault(urlsplit(url).hostname, aio.Lock())
        async with self.limit, lock:
            response = await self.client.get(url)
            await aio.sleep(0.5)
        return response.text

    async def worker(self, number):
        global pages
        while True:
            url = await self.queue.get()
            try:
                if not await self.robots.may(urlsplit(url).hostname):
                    continue
                html = await aio.wait_for(self.fetch(url), 30)
                loop = aio.get_event_loop()
                counts = await loop.run_in_executor(self.pool, words_of, html)
                await self.results.put((url, counts))
                with progress_lock:
                    pages += 1
                    await aio.sleep(0)
                for link in BeautifulSoup(html, "html.parser").find_all("a", href=True):
                    await self.add(urljoin(url, link["href"]))
            except (httpx.HTTPError, aio.TimeoutError) as error:
                print(f"worker {number}: {url}: {error}", file=sys.stderr)
            except Exception as error:
                print(f"worker {number}: a bug: {error!r}", file=sys.stderr)
            finally:
                self.queue.task_done()

    async def add(self, url):
        if url not in seen:
            seen.add(url)
            await self.queue.put(url)

    async def writer(self, path):
        async with aiosqlite.connect(path) as db:
            await db.execute("CREATE TABLE IF NOT EXISTS words (url, word, count)")
            try:
                async for url, counts in self.rows():
                    rows = [(url, word, count) for word, count in counts.items()]
                    await db.executemany("INSERT INTO words VALUES (?, ?, ?)", rows)
                    if len(seen) > 100_000:
                        break
            finally:
                await db.commit()

    async def rows(self):
        while True:
            yield await self.results.get()

    async def report(self):
        started = time.monotonic()
        while True:
            await aio.sleep(5)
            print(f"{pages} pages in {time.monotonic() - started:.0f} s")

    async def run(self, start, jobs, path):
        await self.add(start)
        writer = aio.ensure_future(self.writer(path))
        async with TaskGroup() as group:
            tasks = [group.create_task(self.worker(number)) for number in range(jobs)]
            tasks.append(group.create_task(self.report()))
            await self.queue.join()
            for task in tasks:
                task.cancel()
        try:
            await aio.wait_for(writer, timeout=10)
        except aio.TimeoutError:
            time.sleep(0.1)
            writer.cancel()


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("start")
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--db", type=Path, default="words.db")
    options = parser.parse_args()
    async with httpx.AsyncClient(timeout=20, follow_redirects=True) as client:
        crawler = Crawler(client, options.jobs)
        try:
            async with aio.timeout(3600):
                await crawler.run(options.start, options.jobs, options.db)
        except* httpx.HTTPError as group:
            print(len(group.exceptions), "requests failed")
        except* aio.CancelledError:
            raise


if __name__ == "__main__":
    try:
        aio.run(main(), debug=True)
    except KeyboardInterrupt:
        sys.exit(130)
