# /// script
# requires-python = ">=3.11"
# dependencies = ["aiohttp"]
# ///
import asyncio
import contextlib

import aiohttp
from aiohttp import web

# The mistake: a session that outlives the loops of the tests.
shared_session = None


async def fetch(session, url):
    async with session.get(url, raise_for_status=True) as response:
        return await response.text()


async def fetch_and_print(name, session, url):
    try:
        print(f"{name}: {await fetch(session, url)}")
    except RuntimeError as error:
        print(f"{name}: {error}")


async def fetch_with_shared(name, url, then_sleep=0):
    global shared_session
    if shared_session is None:
        shared_session = aiohttp.ClientSession()
    await fetch_and_print(name, shared_session, url)
    await asyncio.sleep(then_sleep)


async def close_shared():
    global shared_session
    await shared_session.close()
    shared_session = None


async def fetch_with_own(name, url):
    async with aiohttp.ClientSession() as session:
        await fetch_and_print(name, session, url)


def tests_in_one_loop(url):
    """What `loop_scope="session"` of pytest-asyncio does: one loop for all tests."""
    with asyncio.Runner() as runner:
        runner.run(fetch_with_shared("first", url, 0.1))
        runner.run(fetch_with_shared("second", url, 0.1))
        runner.run(close_shared())


async def test(body):
    """What pytest-asyncio does with a test: it runs on a loop that ends with it."""
    await asyncio.to_thread(asyncio.run, body)


async def main():
    async with start_server() as server:
        url = f"{server.url}/hello"

        print("One client, one test after the other:")
        await test(fetch_with_shared("first", url))
        await test(fetch_with_shared("second", url))
        await test(close_shared())

        print("One client, and the first test ends before the second:")
        server.new_connections()
        async with asyncio.TaskGroup() as group:
            group.create_task(test(fetch_with_shared("first", url, 0.2)))
            await asyncio.sleep(0.1)
            slow = f"{server.url}/slow"
            group.create_task(test(fetch_with_shared("second", slow)))
        print(f"connections: {server.new_connections()}")
        await test(close_shared())

        print("A client for each test:")
        await test(fetch_with_own("first", url))
        await test(fetch_with_own("second", url))
        print(f"connections: {server.new_connections()}")

        print("One client, and one runtime for all tests:")
        await asyncio.to_thread(tests_in_one_loop, url)
        print(f"connections: {server.new_connections()}")


async def hello(request):
    return web.Response(text="hello")


async def slow(request):
    await asyncio.sleep(0.2)
    return web.Response(text="slow")


class Server:
    """Counts the connections that are made to it."""

    def __init__(self, runner, connections):
        self.url = "http://{}:{}".format(*runner.addresses[0])
        self.connections = connections

    def new_connections(self):
        count = len(self.connections)
        self.connections.clear()
        return count


@contextlib.asynccontextmanager
async def start_server():
    connections = set()

    @web.middleware
    async def note_connection(request, handler):
        connections.add(request.transport.get_extra_info("peername"))
        return await handler(request)

    app = web.Application(middlewares=[note_connection])
    app.router.add_get("/hello", hello)
    app.router.add_get("/slow", slow)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield Server(runner, connections)
    finally:
        await runner.cleanup()


asyncio.run(main())
