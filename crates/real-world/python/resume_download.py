# /// script
# requires-python = ">=3.11"
# dependencies = ["aiofiles", "aiohttp"]
# ///
import asyncio
import contextlib
import enum
import fcntl
import os
import re
import tempfile
from http import HTTPStatus
from pathlib import Path

import aiofiles
import aiohttp
from aiohttp import web


class Incomplete(Exception):
    pass


class TooLarge(Exception):
    pass


def parse_range(header):
    """Returns the first byte of a part, and the length of the whole."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", header)
    if found is None:
        return None, None
    total = found[2]
    return int(found[1]), None if total == "*" else int(total)


def is_strong(etag):
    """A weak one, W/"...", may stand for other bytes, half a one for any."""
    return re.fullmatch('"[!-~]*"', etag) is not None


class Part:
    """The locked file that is not whole yet. A second file has its ETag."""

    def __init__(self, target):
        self.target = target
        self.path = target.with_name(f"{target.name}.part")
        self.etag = target.with_name(f"{target.name}.part.etag")

    async def __aenter__(self):
        if self.path.is_symlink():
            raise OSError("the .part file is a link")
        self.file = await aiofiles.open(self.path, "ab", buffering=0)
        try:
            fcntl.flock(self.file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The last holder of the lock may have renamed the file just now.
            if not os.path.samestat(os.fstat(self.file.fileno()), self.path.lstat()):
                raise BlockingIOError("another download writes there")
        except BaseException:
            await asyncio.shield(self.file.close())
            raise
        return self

    async def __aexit__(self, *exc):
        await self.file.close()

    async def fetch(self, session, url, max_bytes, progress):
        """Adds to the file what is missing."""
        # In a compressed body, length and ranges would be others.
        headers = {"Accept-Encoding": "identity"}
        received = self.path.stat().st_size
        etag = self.etag.read_text(errors="replace") if self.etag.exists() else ""
        if received and is_strong(etag):
            headers |= {"Range": f"bytes={received}-", "If-Range": etag}
        async with session.get(url, headers=headers) as response:
            content_range = response.headers.get("Content-Range", "")
            first, total = parse_range(content_range)
            # Some servers ignore an ETag in If-Range: aiohttp's static files do.
            is_same = response.headers.get("ETag", etag) == etag
            if response.status not in (200, 206, 416):
                response.raise_for_status()
                raise Incomplete(f"status {response.status}")
            if response.status == 200:
                await asyncio.to_thread(
                    self.begin_anew, response.headers.get("ETag", "")
                )
                received, total = 0, response.content_length
            elif is_same and content_range == f"bytes */{received}":
                return
            elif response.status != 206 or first != received or not is_same:
                await asyncio.to_thread(self.begin_anew, "")
                raise Incomplete("not all has come")
            async for chunk in response.content.iter_any():
                if max(total or 0, received + len(chunk)) > max_bytes:
                    await asyncio.to_thread(self.begin_anew, "")
                    raise TooLarge(f"more than {max_bytes} bytes")
                await self.file.write(chunk)
                received += len(chunk)
                progress(received, total)
        if total not in (None, received):
            raise Incomplete("not all has come")

    def begin_anew(self, etag):
        # The bytes first, so that none is ever next to the ETag of others.
        os.truncate(self.path, 0)
        # It may be a link.
        self.etag.unlink(missing_ok=True)
        if is_strong(etag):
            with open(self.etag, "x") as file:
                file.write(etag)

    async def publish(self):
        """Gives the file its final name."""
        # Without it a power cut may leave the name, and no bytes.
        await asyncio.to_thread(os.fsync, self.file.fileno())
        self.path.replace(self.target)
        self.etag.unlink(missing_ok=True)


class Trouble(enum.Enum):
    """What the server does to its next answer."""

    BREAKS = enum.auto()
    STALLS = enum.auto()
    IGNORES_RANGE = enum.auto()


class Server:
    """A server of one file, in four pieces.

    Each comes 0.1 s after the client has seen the one before.
    """

    def __init__(self):
        self.version = 1
        self.trouble = []
        self.seen = asyncio.Queue()

    def have_trouble(self, *trouble):
        self.trouble = list(trouble)

    @contextlib.asynccontextmanager
    async def start(self):
        app = web.Application()
        app.router.add_get("/file", self.answer)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield "http://{}:{}/file".format(*runner.addresses[0])
        finally:
            await runner.cleanup()

    async def answer(self, request):
        trouble, after = self.trouble.pop(0) if self.trouble else (None, None)
        file = f"version {self.version}\n".encode() * 400
        etag = f'"v{self.version}"'
        wanted = request.headers.get("Range")
        condition = request.headers.get("If-Range")
        start = 0
        if wanted and condition == etag and trouble is not Trouble.IGNORES_RANGE:
            start = request.http_range.start
        status = HTTPStatus.PARTIAL_CONTENT if start else HTTPStatus.OK
        asked = f" {wanted} if {condition}" if wanted else ""
        print(f"server: GET{asked}, {status} {status.phrase}")
        response = web.StreamResponse(status=status, headers={"ETag": etag})
        response.content_length = len(file) - start
        if start:
            places = f"bytes {start}-{len(file) - 1}/{len(file)}"
            response.headers["Content-Range"] = places
        await response.prepare(request)
        while not self.seen.empty():
            self.seen.get_nowait()
        for sent, place in enumerate(range(start, len(file), 1000)):
            if sent > 0:
                await self.seen.get()
                await asyncio.sleep(0.1)
            if sent == after and trouble is Trouble.BREAKS:
                request.transport.abort()
                return response
            if sent == after and trouble is Trouble.STALLS:
                await asyncio.Event().wait()
            await response.write(file[place : place + 1000])
        return response


async def download(session, url, target, max_bytes, retries, seen):
    """Downloads with retries, 0.2 s apart."""

    def show_progress(received, total):
        print(f"{received} of {total}" if total else received)
        seen.put_nowait(received)

    async with Part(target) as part:
        for retries_left in reversed(range(retries + 1)):
            try:
                await part.fetch(session, url, max_bytes, show_progress)
                break
            except (aiohttp.ClientError, TimeoutError):
                print("the request failed")
            except (Incomplete, TooLarge) as error:
                print(error)
            if not retries_left:
                return
            await asyncio.sleep(0.2)
        await part.publish()
    print("done")


def show(folder):
    """The names of the files, how long they are and what they begin with."""
    for file in sorted(folder.iterdir()):
        text = file.read_text()
        first = text and ", " + text.splitlines()[0]
        print(f"{file.name}: {len(text)} bytes{first}")


async def demonstrate(folder, session, server, url):
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def at(seconds):
        await asyncio.sleep(start + seconds - loop.time())

    target = folder / "file.txt"

    def get(max_bytes, retries):
        return download(session, url, target, max_bytes, retries, server.seen)

    breaks = (Trouble.BREAKS, 2)

    await at(0.5)
    print("The connection breaks, and then it stalls:")
    server.have_trouble(breaks, (Trouble.STALLS, 1))
    await get(4000, 2)
    show(folder)

    await at(4)
    print("It breaks, and there is no retry:")
    target.unlink()
    server.have_trouble(breaks)
    await get(4000, 0)
    show(folder)

    await at(4.5)
    print("The next program goes on:")
    await get(4000, 0)
    show(folder)

    await at(5)
    print("It breaks, and then the file is another one:")
    server.have_trouble(breaks)
    await get(4000, 0)
    server.version = 2
    await get(4000, 0)
    show(folder)

    await at(6)
    print("It breaks, and the server ignores the range:")
    server.have_trouble(breaks, (Trouble.IGNORES_RANGE, None))
    await get(4000, 1)

    await at(7)
    print("Too large, and the old file stays:")
    await get(3999, 0)
    show(folder)

    await at(7.5)
    print("Stopped after 1 s:")
    server.have_trouble((Trouble.STALLS, 2))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            await get(4000, 0)
    show(folder)


async def main():
    # A disk may be slow.
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    server = Server()
    # No limit for the whole, but one for each piece.
    stall = aiohttp.ClientTimeout(total=None, sock_read=2)
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        async with (
            server.start() as url,
            aiohttp.ClientSession(timeout=stall) as session,
        ):
            await demonstrate(Path(folder), session, server, url)


asyncio.run(main())
