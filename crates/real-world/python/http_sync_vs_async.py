# /// script
# requires-python = ">=3.11"
# dependencies = ["aiohttp"]
# ///
import asyncio
import contextlib
import http.server
import threading
import time
import urllib.error
import urllib.request

import aiohttp

# Only the page "never" takes as long.
TIMEOUT = 1


def fetch_blocking(url):
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        return response.read().decode()


async def fetch(session, url):
    async with session.get(url, raise_for_status=True) as response:
        return await response.text()


def fetch_blocking_or_error(url):
    try:
        return fetch_blocking(url)
    except OSError as error:
        return error


def one_after_the_other(urls):
    for url in urls:
        report(fetch_blocking_or_error(url))


async def all_at_once(session, urls):
    fetches = [fetch(session, url) for url in urls]
    for result in await asyncio.gather(*fetches, return_exceptions=True):
        report(result)


async def on_a_thread_each(urls):
    fetches = [asyncio.to_thread(fetch_blocking_or_error, url) for url in urls]
    for result in await asyncio.gather(*fetches):
        report(result)


def report(result):
    match result:
        case str():
            print(f"Fetched {len(result)} characters")
        case urllib.error.HTTPError(code=status, reason=reason):
            print(f"The server says {status} {reason}")
        case aiohttp.ClientResponseError(status=status, message=reason):
            print(f"The server says {status} {reason}")
        case TimeoutError():
            print("No answer in time")
        case error:
            print(f"Failed: {error}")


async def tick():
    for _ in range(3):
        await asyncio.sleep(0.15)
        print("tick")


stopping = threading.Event()


class Delay(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        match self.path.strip("/").split("/"):
            case ["delay", millis]:
                time.sleep(int(millis) / 1000)
                status, body = 200, b"x" * int(millis)
            case ["never"]:
                stopping.wait()
                return
            case _:
                status, body = 404, b""
        # The client may have left.
        with contextlib.suppress(ConnectionError):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format, *args):
        pass


@contextlib.contextmanager
def start_server():
    """On its own thread, as this program blocks its event loop."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Delay) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            yield "{}:{}".format(*server.server_address)
        finally:
            stopping.set()
            server.shutdown()


async def main():
    loop = asyncio.get_running_loop()
    ready = loop.time() + 0.5
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    with start_server() as address:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            paths = ["delay/100", "missing", "delay/200", "never"]
            urls = [f"http://{address}/{path}" for path in paths]
            await asyncio.sleep(ready - loop.time())

            print("Blocking, one after the other:")
            await asyncio.to_thread(one_after_the_other, urls)

            print("Async, all concurrently:")
            await all_at_once(session, urls)

            print("Blocking, on a thread each:")
            await on_a_thread_each(urls)

            print("Blocking, in a task, next to another one:")
            async with asyncio.TaskGroup() as group:
                group.create_task(tick())
                await asyncio.sleep(0)
                report(fetch_blocking(f"http://{address}/delay/300"))


asyncio.run(main())
