# /// script
# requires-python = ">=3.11"
# dependencies = ["aiofiles", "aiohttp"]
# ///
import asyncio
import contextlib
import dataclasses
import enum
import fcntl
import hashlib
import os
import re
import tempfile
from pathlib import Path

import aiofiles
import aiohttp
from aiohttp import web


class DownloadError(Exception):
    temporary = False
    useless = False


class Temporary(DownloadError):
    temporary = True


class WrongRange(Temporary):
    useless = True


class Useless(DownloadError):
    useless = True


class Event(enum.Enum):
    BEGUN = enum.auto()
    RECEIVED = enum.auto()
    FAILED = enum.auto()


def is_temporary(status):
    return status >= 500 or status in (408, 429)


@dataclasses.dataclass
class Download:
    url: str
    target: Path
    sha256: bytes | None
    max_bytes: int
    stall: float
    max_time: float
    max_retries: int
    initial_backoff: float

    async def run(self, session, report):
        try:
            async with asyncio.timeout(self.max_time):
                await self.attempts(session, report)
        except TimeoutError as error:
            raise DownloadError(f"not done within {millis(self.max_time)}") from error

    async def attempts(self, session, report):
        backoff = self.initial_backoff
        for _ in range(self.max_retries):
            try:
                return await self.attempt(session, report)
            except DownloadError as error:
                if not error.temporary:
                    raise
                report(Event.FAILED, error, backoff)
            await asyncio.sleep(backoff)
            backoff *= 2
        await self.attempt(session, report)

    async def attempt(self, session, report):
        try:
            part = await Part.claim(self.target)
        except OSError as error:
            raise DownloadError("the file cannot be written") from error
        async with contextlib.aclosing(part):
            try:
                await self.receive(session, part, report)
                await asyncio.to_thread(part.publish, self.target, self.sha256)
            except DownloadError as error:
                await part.keep_or_remove(error)
                raise
            except TimeoutError as error:
                await part.keep_or_remove(error)
                raise Temporary(f"nothing came for {millis(self.stall)}") from error
            except aiohttp.ClientError as error:
                await part.keep_or_remove(error)
                raise Temporary("the connection broke") from error
            except OSError as error:
                raise DownloadError("the file cannot be written") from error

    async def receive(self, session, part, report):
        """Adds to the file what is missing."""
        # In a compressed body, length and ranges would be others.
        headers = {"Accept-Encoding": "identity"}
        received, etag = await asyncio.to_thread(part.look)
        if etag:
            headers |= {"Range": f"bytes={received}-", "If-Range": etag}
        # No limit for the whole, but one for each piece.
        limits = aiohttp.ClientTimeout(sock_connect=self.stall, sock_read=self.stall)
        async with session.get(self.url, headers=headers, timeout=limits) as response:
            match response.status:
                case 200:
                    total = response.content_length
                    etag = response.headers.get("ETag", "")
                    await asyncio.to_thread(part.begin_anew, etag)
                    received = 0
                case 206:
                    start, total = parse_range(response.headers.get("Content-Range"))
                    if start != received:
                        raise WrongRange("not the range that was asked for")
                case 416 if received:
                    # Nothing is missing, or there is too much: `bytes */1000`.
                    whole = response.headers.get("Content-Range")
                    if self.sha256 is None and whole != f"bytes */{received}":
                        raise WrongRange("not the range that was asked for")
                    return
                case status:
                    kind = Temporary if is_temporary(status) else DownloadError
                    raise kind(f"status {status}")
            if total is not None and total > self.max_bytes:
                raise Useless(f"more than {self.max_bytes} bytes")
            report(Event.BEGUN, received, None)
            async for chunk in response.content.iter_any():
                received += len(chunk)
                if received > self.max_bytes:
                    raise Useless(f"more than {self.max_bytes} bytes")
                await part.file.write(chunk)
                report(Event.RECEIVED, received, total)


def parse_range(header):
    """From where a part begins, and how many bytes the whole has."""
    try:
        places, total = header.removeprefix("bytes ").split("/")
        return int(places.split("-")[0]), None if total == "*" else int(total)
    except (AttributeError, ValueError) as error:
        raise WrongRange("not the range that was asked for") from error


def is_strong(etag):
    """A weak one, W/"...", may stand for other bytes, half a one for any."""
    return re.fullmatch('"[!-~]*"', etag) is not None


class Part:
    """The file that is not whole yet, locked, and beside it one with its ETag."""

    def __init__(self, file, path, etag):
        self.file = file
        self.path = path
        self.etag = etag

    @classmethod
    async def claim(cls, target):
        path = target.with_name(f"{target.name}.part")
        etag = target.with_name(f"{target.name}.part.etag")
        if path.is_symlink():
            raise OSError("the .part file is a link")
        file = await aiofiles.open(path, "ab", buffering=0)
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The holder of the lock may have renamed or removed it just now.
            if os.path.samestat(os.fstat(file.fileno()), path.lstat()):
                return cls(file, path, etag)
        except (BlockingIOError, FileNotFoundError):
            pass
        except BaseException:
            await asyncio.shield(file.close())
            raise
        await file.close()
        raise Temporary("another download writes there")

    async def aclose(self):
        await self.file.close()

    def look(self):
        received = self.path.stat().st_size
        try:
            etag = self.etag.read_text(errors="replace")
        except FileNotFoundError:
            return received, ""
        return received, etag if received and is_strong(etag) else ""

    def begin_anew(self, etag):
        # The bytes first, so that none is ever beside the ETag of others.
        os.truncate(self.path, 0)
        # It may be a link.
        self.etag.unlink(missing_ok=True)
        if is_strong(etag):
            with open(self.etag, "x") as file:
                file.write(etag)

    def publish(self, target, sha256):
        """Gives the file its final name, if it is what was expected."""
        with open(self.path, "rb") as file:
            if sha256 and hashlib.file_digest(file, "sha256").digest() != sha256:
                raise Useless("not the checksum that was expected")
            # Without it a power cut may leave the name, and no bytes.
            os.fsync(file)
        self.path.replace(target)
        self.etag.unlink(missing_ok=True)

    async def keep_or_remove(self, error):
        def remove():
            if getattr(error, "useless", False) or self.path.stat().st_size == 0:
                self.path.unlink()
                self.etag.unlink(missing_ok=True)

        await asyncio.to_thread(remove)


class Trouble(enum.Enum):
    """What the server does to its next answer."""

    BREAKS = enum.auto()
    STALLS = enum.auto()
    IGNORES_RANGE = enum.auto()
    UNAVAILABLE = enum.auto()


PIECE = 1000


class Server:
    """A server of one file, in pieces that come one after the other."""

    def __init__(self, pieces, pause):
        self.pieces = pieces
        self.pause = pause
        self.version = 1
        self.trouble = []

    def file(self, version):
        return f"version {version}\n".encode() * (self.pieces * PIECE // 10)

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
        file, etag = self.file(self.version), f'"v{self.version}"'
        wanted = request.headers.get("Range")
        condition = request.headers.get("If-Range")
        start = 0
        if wanted and condition == etag and trouble is not Trouble.IGNORES_RANGE:
            start = request.http_range.start
        if trouble is Trouble.UNAVAILABLE:
            status = 503
        elif start == 0:
            status = 200
        else:
            status = 416 if start >= len(file) else 206
        asked = f" {wanted} if {condition}" if wanted else ""
        print(f"server: GET{asked}, {status}")
        if status not in (200, 206):
            return web.Response(status=status)
        response = web.StreamResponse(status=status, headers={"ETag": etag})
        response.content_length = len(file) - start
        if start:
            places = f"bytes {start}-{len(file) - 1}/{len(file)}"
            response.headers["Content-Range"] = places
        await response.prepare(request)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for sent, place in enumerate(range(start, len(file), PIECE)):
            await asyncio.sleep(begun + sent * self.pause - loop.time())
            if sent == after and trouble is Trouble.BREAKS:
                request.transport.abort()
                return response
            if sent == after and trouble is Trouble.STALLS:
                await asyncio.Event().wait()
            await response.write(file[place : place + PIECE])
        return response


def millis(seconds):
    return f"{seconds * 1000:.0f}ms"


def show_event(event, what, more):
    match event:
        case Event.BEGUN:
            print(f"a body, from byte {what} on")
        case Event.RECEIVED if more is not None:
            print(f"{what} of {more}")
        case Event.RECEIVED:
            print(what)
        case Event.FAILED:
            print(f"{what}, again in {millis(more)}")


def silent(event, what, more):
    pass


async def show_result(download):
    try:
        await download
        print("done")
    except DownloadError as error:
        print(error)


def show(folder):
    """The names of the files, how long they are and what they begin with."""
    for file in sorted(folder.iterdir()):
        text = file.read_text()
        print(f"{file.name}: {len(text)} bytes, {text.splitlines()[0]}")


async def part(start, begin, title):
    """Begins a part of the demonstration so long after the start."""
    await asyncio.sleep(start + begin - asyncio.get_running_loop().time())
    print(title)


async def demonstrate(folder, session, server, url):
    start = asyncio.get_running_loop().time()

    def sha256(version):
        return hashlib.sha256(server.file(version)).digest()

    download = Download(
        url=url,
        target=folder / "file.txt",
        sha256=sha256(1),
        max_bytes=4000,
        stall=0.3,
        max_time=10,
        max_retries=2,
        initial_backoff=0.2,
    )
    breaks = (Trouble.BREAKS, 1)
    breaks_later = (Trouble.BREAKS, 2)

    await part(start, 1, "The connection breaks, and stalls:")
    server.have_trouble(breaks_later, (Trouble.STALLS, 1))
    await show_result(download.run(session, show_event))
    show(folder)
    download.target.unlink()

    await part(start, 2.5, "It breaks more often than there are retries:")
    server.have_trouble(breaks, (Trouble.UNAVAILABLE, None), breaks)
    await show_result(download.run(session, show_event))
    show(folder)

    await part(start, 3.6, "The next call, as after a restart:")
    await show_result(download.run(session, show_event))
    show(folder)

    await part(start, 4.2, "It breaks, and meanwhile the file changes:")
    newer = dataclasses.replace(download, sha256=sha256(2), max_retries=1)
    server.have_trouble(breaks_later)

    def change(event, what, more):
        if event is Event.FAILED:
            server.version = 2
        show_event(event, what, more)

    await show_result(newer.run(session, change))
    show(folder)

    await part(start, 5.3, "It breaks, and the server knows no ranges:")
    server.have_trouble(breaks_later, (Trouble.IGNORES_RANGE, None))
    await show_result(newer.run(session, show_event))

    await part(start, 6.4, "Without a retry, and the old file stays:")
    await show_result(download.run(session, silent))
    smaller = dataclasses.replace(newer, max_bytes=3999)
    await show_result(smaller.run(session, silent))
    nowhere = dataclasses.replace(newer, target=folder / "nowhere" / "file.txt")
    await show_result(nowhere.run(session, silent))
    show(folder)

    await part(start, 7.1, "No checksum is known; and too slow in all:")
    unchecked = dataclasses.replace(download, sha256=None, max_retries=1)
    server.have_trouble(breaks_later)
    await show_result(unchecked.run(session, show_event))
    slow = dataclasses.replace(unchecked, max_time=0.15)
    await show_result(slow.run(session, show_event))
    show(folder)


async def main():
    # A disk may be slow.
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    server = Server(pieces=4, pause=0.1)
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        async with server.start() as url, aiohttp.ClientSession() as session:
            await demonstrate(Path(folder), session, server, url)


asyncio.run(main())
