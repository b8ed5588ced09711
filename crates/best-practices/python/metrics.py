# /// script
# requires-python = ">=3.11"
# dependencies = ["aiohttp"]
# ///
import asyncio
import collections
import contextlib
import logging

import aiohttp
from aiohttp import web

# Upper bounds in seconds; slower calls are counted in a last bucket of their own.
BUCKETS = (0.2, 0.5, float("inf"))
ESCAPES = str.maketrans({"\\": r"\\", '"': r'\"', "\n": r"\n"})


def series(name, labels, value):
    quoted = {key: str(text).translate(ESCAPES) for key, text in labels.items()}
    text = ",".join(f'{label}="{value}"' for label, value in sorted(quoted.items()))
    return f"{name}{{{text}}} {value}" if text else f"{name} {value}"


class Counter:
    def __init__(self, name):
        self.name = name
        self.values = collections.Counter()

    def inc(self, **labels):
        self.values[tuple(labels.items())] += 1

    def lines(self):
        for labels, value in self.values.items():
            yield series(f"{self.name}_total", dict(labels), value)


class Gauge:
    def __init__(self, name):
        self.name = name
        self.value = 0

    def inc(self):
        self.value += 1

    def dec(self):
        self.value -= 1

    def lines(self):
        yield series(self.name, {}, self.value)


class Histogram:
    def __init__(self, name):
        self.name = name
        self.counts = collections.defaultdict(lambda: [0] * len(BUCKETS))
        self.sums = collections.Counter()

    def observe(self, seconds, **labels):
        key = tuple(labels.items())
        for index, bound in enumerate(BUCKETS):
            self.counts[key][index] += seconds <= bound
        self.sums[key] += seconds

    def lines(self):
        for key, counts in self.counts.items():
            labels = dict(key)
            for bound, count in zip(BUCKETS, counts):
                le = "+Inf" if bound == BUCKETS[-1] else bound
                yield series(f"{self.name}_bucket", {"le": le} | labels, count)
            yield series(f"{self.name}_sum", labels, self.sums[key])
            yield series(f"{self.name}_count", labels, counts[-1])


class CallMetrics:
    """How many calls there were, how they ended, how long they took, how many run."""

    def __init__(self, registry):
        self.ended = Counter("calls")
        self.seconds = Histogram("call_seconds")
        self.in_flight = Gauge("calls_in_flight")
        registry += [self.ended, self.seconds, self.in_flight]

    @contextlib.contextmanager
    def track(self, route):
        loop = asyncio.get_running_loop()
        start = loop.time()
        self.in_flight.inc()
        outcome = "ok"
        try:
            yield
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except BaseException:
            outcome = "error"
            raise
        finally:
            self.in_flight.dec()
            self.ended.inc(outcome=outcome, route=route)
            self.seconds.observe(loop.time() - start, route=route)


def metrics_page(registry):
    async def scrape(request):
        lines = [line for metric in registry for line in metric.lines()]
        kind = "application/openmetrics-text; version=1.0.0; charset=utf-8"
        page = "\n".join([*lines, "# EOF", ""]).encode()
        return web.Response(body=page, headers={"Content-Type": kind})

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
        line for line in lines if line.startswith(start) and "_sum" not in line
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

    registry = []
    metrics = CallMetrics(registry)
    unguarded = Gauge("calls_unguarded")
    by_path = Counter("path_calls")
    registry += [unguarded, by_path]

    async with serve(metrics_page(registry)) as address:
        await at(3)
        print("While four calls run:")
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
            by_path.inc(path=f"/users/{user}")
            with metrics.track("/users/{id}"):
                pass
        paths = await scrape(address, "path_calls")
        print(f"{len(paths)} series, the first is {paths[0]}")
        routes = await scrape(address, 'calls_total{outcome="ok",route="/')
        print(f"{len(routes)} series: {routes[0]}")


asyncio.run(main())
