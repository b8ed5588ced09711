# /// script
# requires-python = ">=3.11"
# dependencies = ["aiohttp"]
# ///
import asyncio
import contextlib
import socket

import aiohttp
from aiohttp import web


class FetchError(Exception):
    pass


async def fetch(session, url):
    try:
        async with session.get(url, raise_for_status=True) as response:
            return await response.text()
    except aiohttp.InvalidURL as error:
        raise FetchError("not a URL to ask") from error
    except aiohttp.TooManyRedirects as error:
        raise FetchError("too many redirects") from error
    except aiohttp.ConnectionTimeoutError as error:
        raise FetchError("no connection in time") from error
    except aiohttp.ClientConnectorError as error:
        raise FetchError("no connection") from error
    except TimeoutError as error:
        raise FetchError("no answer in time") from error
    except aiohttp.ClientResponseError as error:
        raise FetchError(f"the server says {error.status} {error.message}") from error
    except aiohttp.ClientPayloadError as error:
        raise FetchError("the answer breaks off") from error
    except aiohttp.ClientError as error:
        raise FetchError("the request failed") from error


LIMITS = aiohttp.ClientTimeout(total=0.8, connect=0.2, sock_read=0.4)


class NoAnswer(aiohttp.abc.AbstractResolver):
    """Stands for a name server that does not answer."""

    async def resolve(self, host, port=0, family=socket.AF_INET):
        await asyncio.get_running_loop().create_future()

    async def close(self):
        pass


async def pieces(request):
    response = web.StreamResponse()
    await response.prepare(request)
    loop = asyncio.get_running_loop()
    start, period = loop.time(), int(request.match_info["millis"]) / 1000
    for number in range(1, int(request.match_info["count"]) + 1):
        await asyncio.sleep(start + number * period - loop.time())
        await response.write(str(number).encode())
    return response


async def quick(request):
    return web.Response(text="hello")


async def late(request):
    await asyncio.sleep(0.6)
    return web.Response(text="late")


async def loop(request):
    raise web.HTTPSeeOther("/loop")


async def broken(request):
    return web.Response(status=500)


@contextlib.asynccontextmanager
async def server():
    app = web.Application()
    app.router.add_get("/quick", quick)
    app.router.add_get("/late", late)
    app.router.add_get("/pieces/{count}/{millis}", pieces)
    app.router.add_get("/loop", loop)
    app.router.add_get("/broken", broken)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield "{}:{}".format(*runner.addresses[0])
    finally:
        await runner.cleanup()


async def cut(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
    writer.close()


@contextlib.asynccontextmanager
async def cutting_server():
    async with await asyncio.start_server(cut, "127.0.0.1", 0) as server:
        yield "{}:{}".format(*server.sockets[0].getsockname())


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return "{}:{}".format(*listener.getsockname())


async def report(session, what, url):
    try:
        print(f"{what}: {await fetch(session, url)}")
    except FetchError as error:
        print(f"{what}: {error}")


async def main():
    loop = asyncio.get_running_loop()
    first = loop.time() + 0.1

    async def part(number):
        await asyncio.sleep(first + number - loop.time())

    async with (
        server() as address,
        cutting_server() as cutting,
        aiohttp.ClientSession(
            timeout=LIMITS, connector=aiohttp.TCPConnector(resolver=NoAnswer())
        ) as session,
    ):
        await part(0)
        print("Errors that come at once:")
        broken_url = f"http://{address}/broken"
        async with session.get(broken_url) as response:
            print(f"no error: {response.status} {response.reason}")
        for what, url in [
            ("with a check of the status", broken_url),
            ("a page", f"http://{address}/quick"),
            ("no scheme", "example.com/page"),
            ("a page that redirects to itself", f"http://{address}/loop"),
            ("a closed port", f"http://{closed_port()}/"),
            ("4 bytes of 10", f"http://{cutting}/"),
        ]:
            await report(session, what, url)

        await part(1)
        print("0.2 s to connect, 0.4 s for each read, 0.8 s in all:")
        async with asyncio.TaskGroup() as group:
            for what, url in [
                ("a name that nobody resolves", "http://nowhere.test/"),
                ("headers after 0.6 s", f"http://{address}/late"),
                ("a piece after 0.6 s", f"http://{address}/pieces/1/600"),
                ("3 pieces in 0.6 s", f"http://{address}/pieces/3/200"),
                ("5 pieces in 1.0 s", f"http://{address}/pieces/5/200"),
            ]:
                group.create_task(report(session, what, url))

        await part(2)
        print("This request may take 2 s in all:")
        url = f"http://{address}/pieces/4/200"
        more = aiohttp.ClientTimeout(total=2, connect=0.2, sock_read=0.4)
        async with session.get(url, timeout=more) as response:
            print(await response.text())

        await part(3)
        print("A timeout of 0.4 s, for the headers only:")
        unlimited = aiohttp.ClientTimeout(total=None)
        async with contextlib.AsyncExitStack() as stack:
            async with asyncio.timeout(0.4):
                request = session.get(url, timeout=unlimited)
                response = await stack.enter_async_context(request)
            print("the headers are there")
            print(await response.text())


asyncio.run(main())
