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
            buckets=(0.2, 0.5),
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


async def query(fails):
    await asyncio.sleep(0.3 if fails else 0.1)
    if fails:
        raise ConnectionError("no answer")
    return 1


async def report(broken):
    await asyncio.sleep(0.3)
    assert not broken, "the report is broken"
    await asyncio.sleep(10)
    return 2


async def four_calls(metrics, unguarded):
    """One that succeeds, one that fails, one that takes too long, one that is broken."""

    async def track(route, call):
        with metrics.track(route):
            return await count_without_a_guard(unguarded, call)

    # How they ended is told by the metrics.
    await asyncio.gather(
        track("query", query(False)),
        track("query", query(True)),
        asyncio.wait_for(track("report", report(False)), 0.4),
        track("report", report(True)),
        return_exceptions=True,
    )


async def scrape(address, start):
    """The series that begin with this, without the sums of seconds."""
    timeout = aiohttp.ClientTimeout(total=1)
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
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def at(tenths):
        await asyncio.sleep(start + tenths / 10 - loop.time())

    registry = CollectorRegistry()
    metrics = CallMetrics(registry)
    unguarded = Gauge("calls_without_guard", "The same, no guard", registry=registry)
    by_path = Counter("path_calls", "Calls by path", ["path"], registry=registry)

    async with serve(metrics_page(registry)) as address:
        await at(3)
        print("Four calls, one of which has ended:")
        async with asyncio.TaskGroup() as group:
            group.create_task(four_calls(metrics, unguarded))
            await at(5)
            print("\n".join(await scrape(address, "calls")))

        await at(8)
        print("After one of them failed, one was cancelled, one panicked:")
        print("\n".join(await scrape(address, "call")))

        await at(10)
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
