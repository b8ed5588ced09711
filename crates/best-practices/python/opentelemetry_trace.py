# /// script
# requires-python = ">=3.11"
# dependencies = ["fastapi", "httpx", "opentelemetry-sdk", "uvicorn"]
# ///
import asyncio
import contextlib

import httpx
import uvicorn
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from opentelemetry import trace
from opentelemetry.propagate import inject
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

tracer = trace.get_tracer("shop")


def traces(service, exporter):
    resource = Resource.create({"service.name": service})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


async def get(client, url):
    """Sends the request in a span of its own, with the `traceparent` of that span."""
    with tracer.start_as_current_span("GET", kind=SpanKind.CLIENT):
        headers = {}
        inject(headers)
        return await client.get(url, headers=headers)


# FastAPI makes the span of each request itself, as a child of the one in its headers.
def prices():
    app = FastAPI()

    @app.get("/prices/{id}", response_class=PlainTextResponse)
    async def price(id: int):
        with tracer.start_as_current_span("query"):
            await asyncio.sleep(0.1)
        return f"{100 + id} cents"

    @app.get("/report")
    async def report():
        await asyncio.sleep(1)
        print("the report is made")

    return app


def orders(client, url):
    app = FastAPI()

    @app.get("/orders/{id}", response_class=PlainTextResponse)
    async def order(id: int):
        response = await get(client, f"{url}/prices/{id}")
        return f"order {id}: {response.text}"

    return app


@contextlib.asynccontextmanager
async def serve(app):
    """Serves the app on a port of its own, and waits for its requests at the end."""
    config = uvicorn.Config(app, port=0, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started and not task.done():
        await asyncio.sleep(0.01)
    try:
        host, port = server.servers[0].sockets[0].getsockname()
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        await task


def is_inner(span):
    """FastAPI has spans for the dependencies, the endpoint and the serialization."""
    return span.name.startswith("fastapi.")


def print_tree(spans, parent=None, depth=0):
    """Prints each span below its parent, in the order of their starts."""
    for span in spans:
        if (span.parent.span_id if span.parent else None) == parent:
            shown = not is_inner(span)
            if shown:
                print(f"{'':{depth}}{span.name}")
            print_tree(spans, span.context.span_id, depth + 2 * shown)


async def send_mail():
    with tracer.start_as_current_span("mail"):
        await asyncio.sleep(0.1)


async def main():
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def at(tenths):
        await asyncio.sleep(start + tenths / 10 - loop.time())

    exporter = InMemorySpanExporter()
    provider = traces("shop", exporter)
    trace.set_tracer_provider(provider)

    def finished():
        provider.force_flush()
        spans = sorted(exporter.get_finished_spans(), key=lambda span: span.start_time)
        exporter.clear()
        return spans

    async with (
        httpx.AsyncClient(trust_env=False) as client,
        serve(prices()) as b_url,
        serve(orders(client, b_url)) as a_url,
    ):
        await at(5)
        print("A request over two services:")
        response = await get(client, f"{a_url}/orders/7")
        await at(8)
        print(response.text)
        spans = finished()
        print_tree(spans)
        one = len({span.context.trace_id for span in spans}) == 1
        print(f"one trace: {'yes' if one else 'no'}")

        await at(10)
        print("Two tasks that an order spawns:")
        with tracer.start_as_current_span("order"):
            mails = [asyncio.create_task(send_mail()) for _ in range(2)]
            await asyncio.gather(*mails)
        await at(12)
        print_tree(finished())

        await at(15)
        print("A request that is cancelled after 0.2 s:")
        try:
            async with asyncio.timeout(0.2):
                await get(client, f"{b_url}/report")
        except TimeoutError:
            print("cancelled")
        await at(27)
        # The span of the server ends when it has seen the end of the connection.
        ended = []
        while len(ended) < 2:
            await asyncio.sleep(0.01)
            ended += [span for span in finished() if not is_inner(span)]
        for span in sorted(ended, key=lambda span: span.start_time):
            print(f"ended: {span.name}")

        print("Without a flush:")
        tracer.start_span("the last one").end()
        print(f"exported: {len(exporter.get_finished_spans())}")
        print(f"exported after a flush: {len(finished())}")
    await asyncio.to_thread(provider.shutdown)
    # The servers stop at one of their ticks.
    await at(32)


asyncio.run(main())
