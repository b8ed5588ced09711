# /// script
# requires-python = ">=3.11"
# dependencies = ["aiohttp", "prometheus_client"]
# ///
import asyncio
import contextlib
import logging

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest


class CallMetrics:
    """How many calls there were, how they ended, how long they took, how many run."""

    def __init__(self, registry):
        self.ended = Counter(
            "calls", "Calls by outcome", ["outcome", "route"], registry=registry
        )
        self.seconds = Histogram(
            "call_seconds",
            "Time of calls",
            ["route"],
            buckets=(0.1, 10.0),
            registry=registry,
        )
        self.in_flight = Gauge("calls_in_flight", "Calls that run now", registry=registry)

    @contextlib.contextmanager
    def track(self, route):
        outcome = "ok"
        with self.in_flight.track_inprogress(), self.seconds.labels(route).time():
            try:
                yield
            except asyncio.CancelledError:
                outcome = "cancelled"
                raise
            except BaseException:
                outcome = "error"
                raise
            finally:
                self.ended.labels(outcome, route).inc()


def metrics_page(registry):
    async def scrape(request):
        page = generate_latest(registry)
        return web.Response(body=page, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/metrics", scrape)
    return app


async def count_without_a_guard(in_flight, call):
    """The mistake: what ends the call early leaves the gauge where it is."""
    in_flight.inc()
    value = await call
    in_flight.dec()
    return value


async def query():
    await asyncio.sleep(0.2)
    return 1


async def four_calls(metrics, unguarded, end):
    """One that succeeds. The others run until `end`: one fails, one is cancelled, one
    is broken."""

    async def fails():
        await end.wait()
        raise ConnectionError("no answer")

    async def broken():
        await end.wait()
        raise AssertionError("the report is broken")

    async def endless():
        await asyncio.get_running_loop().create_future()

    async def track(route, call):
        with metrics.track(route):
            return await count_without_a_guard(unguarded, call)

    # How they ended is told by the metrics.
    calls = [
        asyncio.create_task(track("query", query())),
        asyncio.create_task(track("query", fails())),
        asyncio.create_task(track("report", broken())),
    ]
    cancelled = asyncio.create_task(track("report", endless()))
    await end.wait()
    cancelled.cancel()
    await asyncio.gather(*calls, cancelled, return_exceptions=True)


async def scrape(address, start):
    """The series that begin with this, without the sums of seconds."""
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        async with session.get(f"http://{address}/metrics") as response:
            response.raise_for_status()
            page = await response.text()
    lines = page.splitlines()
    return sorted(
        line.removesuffix(".0")
        for line in lines
        if line.startswith(start) and "_sum" not in line and "_created" not in line
    )


@contextlib.asynccontextmanager
async def serve(app):
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield "{}:{}".format(*runner.addresses[0])
    finally:
        await runner.cleanup()


async def main():
    logging.basicConfig(level=logging.ERROR)
    registry = CollectorRegistry()
    metrics = CallMetrics(registry)
    unguarded = Gauge("calls_without_guard", "The same, no guard", registry=registry)
    by_path = Counter("path_calls", "Calls by path", ["path"], registry=registry)

    async with serve(metrics_page(registry)) as address:
        print("Four calls, one of which has ended:")
        end = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(four_calls(metrics, unguarded, end))
            page = []
            while not any(line.startswith("calls_total") for line in page):
                await asyncio.sleep(0.01)
                page = await scrape(address, "calls")
            print("\n".join(page))
            # The others end when the page has been read.
            end.set()

        print("After one of them failed, one was cancelled, one panicked:")
        print("\n".join(await scrape(address, "call")))

        print("A hundred paths, as a label and as a route:")
        for user in range(100):
            by_path.labels(path=f"/users/{user}").inc()
            with metrics.track("/users/{id}"):
                pass
        paths = await scrape(address, "path_calls")
        print(f"{len(paths)} series, the first is {paths[0]}")
        routes = await scrape(address, 'calls_total{outcome="ok",route="/')
        print(f"{len(routes)} series: {routes[0]}")


asyncio.run(main())
