"""Orders of a shop: a web service with a database, a cache and work in the background."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import time
from contextvars import ContextVar
from dataclasses import dataclass, field

import aiohttp
import asyncpg
import redis.asyncio as redis
from aiohttp import web

log = logging.getLogger("shop")
request_id = ContextVar("request_id", default="-")

RATES_URL = os.environ.get("RATES_URL", "http://127.0.0.1:9000/rates")
STOCK_KEY = "stock:{}"


class OutOfStock(Exception):
    """The shop has fewer than were ordered."""


@dataclass
class Rates:
    """Exchange rates, which a task in the background keeps fresh."""

    session: aiohttp.ClientSession
    by_currency: dict[str, float] = field(default_factory=dict)
    fresh: asyncio.Event = field(default_factory=asyncio.Event)

    async def refresh(self):
        async with self.session.get(RATES_URL) as response:
            response.raise_for_status()
            self.by_currency = await response.json()
            self.fresh.set()

    async def keep_fresh(self, every):
        while True:
            try:
                await self.refresh()
            except Exception:
                log.exception("the rates are stale")
            await asyncio.sleep(every)


class Shop:
    def __init__(self, database: asyncpg.Pool, cache: redis.Redis, rates: Rates):
        self.database = database
        self.cache = cache
        self.rates = rates
        self.lock = asyncio.Lock()
        self.mails: asyncio.Queue[str] = asyncio.Queue()
        self.tasks = set()
        self.sold = 0

    async def stock(self, article):
        key = STOCK_KEY.format(article)
        if (known := await self.cache.get(key)) is not None:
            return int(known)
        async with self.database.acquire() as connection:
            count = await connection.fetchval(
                "SELECT count FROM stock WHERE article = $1", article
            )
        await self.cache.set(key, count, ex=30)
        return count

    async def order(self, article, count, mail):
        async with self.lock:
            if await self.stock(article) < count:
                raise OutOfStock(article)
            async with self.database.acquire() as connection, connection.transaction():
                await connection.execute(
                    "UPDATE stock SET count = count - $2 WHERE article = $1",
                    article,
                    count,
                )
            await self.cache.delete(STOCK_KEY.format(article))
        self.sold += await self.price(article) * count
        self.mails.put_nowait(mail)
        asyncio.create_task(self.note(article, count))

    async def price(self, article):
        await asyncio.wait_for(self.rates.fresh.wait(), timeout=2)
        return self.rates.by_currency.get("EUR", 1.0)

    async def note(self, article, count):
        with open("orders.log", "a") as file:
            file.write(f"{time.time()} {article} {count}\n")

    async def send_mails(self):
        loop = asyncio.get_running_loop()
        while True:
            mail = await self.mails.get()
            try:
                await loop.run_in_executor(None, log.info, "mail to %s", mail)
            finally:
                self.mails.task_done()

    def start(self):
        for job in (self.rates.keep_fresh(60), self.send_mails()):
            task = asyncio.create_task(job, name=job.__name__)
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def stop(self):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await self.mails.join()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@web.middleware
async def with_request_id(request, handler):
    token = request_id.set(request.headers.get("X-Request-Id", "-"))
    try:
        return await handler(request)
    except OutOfStock as error:
        return web.json_response({"error": str(error)}, status=409)
    except asyncio.CancelledError:
        log.info("the client has left")
        raise
    finally:
        request_id.reset(token)


async def post_order(request):
    order = await request.json()
    await request.app["shop"].order(order["article"], order["count"], order["mail"])
    return web.Response(status=202)


async def get_stocks(request):
    shop, articles = request.app["shop"], request.query.getall("article")
    stocks = await asyncio.gather(*(shop.stock(article) for article in articles))
    return web.Response(text=json.dumps(dict(zip(articles, stocks))))


async def main():
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        database = await stack.enter_async_context(asyncpg.create_pool(os.environ["DSN"]))
        cache = redis.from_url("redis://127.0.0.1")
        stack.push_async_callback(cache.aclose)
        shop = Shop(database, cache, Rates(session))
        shop.start()
        stack.push_async_callback(shop.stop)
        app = web.Application(middlewares=[with_request_id])
        app["shop"] = shop
        app.router.add_post("/orders", post_order)
        app.router.add_get("/stocks", get_stocks)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 8080).start()
        await stopped.wait()
        await runner.cleanup()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main())
