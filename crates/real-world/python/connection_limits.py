# /// script
# requires-python = ">=3.11"
# dependencies = ["aiohttp"]
# ///
import asyncio
import contextlib

import aiohttp
from aiohttp import web


def limited_session(limit):
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit_per_host=limit))


# More bytes than come in before somebody reads.
LONG = 2 << 20


class Server:
    """Counts what is asked of it."""

    def __init__(self):
        self.connections = set()
        self.requests = 0
        self.most = 0

    @web.middleware
    async def note_connection(self, request, handler):
        self.connections.add(request.transport.get_extra_info("peername"))
        return await handler(request)

    async def slow(self, request):
        self.requests += 1
        self.most = max(self.most, self.requests)
        await asyncio.sleep(0.2)
        self.requests -= 1
        return web.Response()

    async def short(self, request):
        return web.json_response("hello")

    async def long(self, request):
        return web.Response(text="x" * LONG)

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls):
        self = cls()
        app = web.Application(middlewares=[self.note_connection])
        app.router.add_get("/slow", self.slow)
        app.router.add_get("/short", self.short)
        app.router.add_get("/long", self.long)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = "http://{}:{}".format(*runner.addresses[0])
            yield self
        finally:
            await runner.cleanup()

    def most_at_once(self):
        most, self.most = self.most, 0
        return most


async def ask(session, url):
    async with session.get(url) as response:
        await response.text()


async def ask_both(session, servers):
    a, b = servers
    urls = [f"{server.url}/slow" for server in [a, b, a, b, a, a, a, a]]
    await asyncio.gather(*[ask(session, url) for url in urls])
    a, b = (server.most_at_once() for server in servers)
    print(f"at once: {a} and {b}")


async def main():
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def at(tenths):
        await asyncio.sleep(start + tenths / 10 - loop.time())

    async with Server.start() as a, Server.start() as b:
        async with limited_session(2) as limited:

            for tenths, server, path, read in [
                (4, a, "/short", True),
                (9, b, "/long", False),
            ]:
                await at(tenths)
                print(f"Four in a row, {'read' if read else 'not read'}:")
                for number in range(4):
                    await at(tenths + number)
                    async with limited.get(server.url + path) as response:
                        if read:
                            print(await response.json())
                print(f"connections: {len(server.connections)}")

            await at(14)
            print("Six requests to one host, two to another:")
            async with limited_session(6) as session:
                await ask_both(session, [a, b])

            await at(17)
            print("No more than two at once to each host:")
            await ask_both(limited, [a, b])

            await at(24)
            print("Two responses are held:")
            held = []
            for _ in range(2):
                response = await limited.get(f"{a.url}/long")
                print(f"status {response.status}")
                held.append(response)
            try:
                async with asyncio.timeout(0.3):
                    await ask(limited, f"{a.url}/slow")
                print("a third one came")
            except TimeoutError:
                print("no permit for a third one")
            held.pop().close()
            await ask(limited, f"{a.url}/slow")
            print("one is dropped, and a third one came")


asyncio.run(main())
