# /// script
# requires-python = ">=3.11"
# dependencies = ["aiofiles", "aiohttp"]
# ///
import asyncio
import contextlib
import os
import socket
import tempfile
from pathlib import Path

import aiofiles
import aiohttp
from aiohttp import web

CHUNK = 256 * 1024
MEGABYTE = 1 << 20


class UploadError(Exception):
    pass


async def body(path, progress):
    async with aiofiles.open(path, "rb") as file:
        while chunk := await file.read(CHUNK):
            progress(len(chunk))
            yield chunk


async def upload(session, url, path, patience, progress):
    """Gives up after so many seconds without progress."""
    loop = asyncio.get_running_loop()
    headers = {}
    if path.is_file():
        headers["Content-Length"] = str(path.stat().st_size)

    def note(size):
        progress(size)
        limit.reschedule(loop.time() + patience)

    try:
        async with (
            asyncio.timeout(patience) as limit,
            session.put(url, data=body(path, note), headers=headers) as response,
        ):
            message = await response.text()
            if not response.ok:
                raise UploadError(f"status {response.status}: {message}")
            return message
    except TimeoutError:
        raise UploadError(f"no progress for {patience * 1000:.0f}ms") from None


class Refusal(Exception):
    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


class Store:
    """Where uploads are stored."""

    def __init__(self, folder, limit):
        self.folder = folder
        self.limit = limit
        # How many uploads fail at their end.
        self.failing = 0

    async def put(self, request):
        # Where this refuses a body, aiohttp reads on for a while by itself.
        try:
            return web.Response(text=await self.write(request))
        except Refusal as refusal:
            return web.Response(status=refusal.status, text=str(refusal))

    async def write(self, request):
        """Writes the body to a file next to the target, and renames it at the end."""
        name, length = request.match_info["name"], request.content_length
        if Path(name).name != name:
            raise Refusal(400, "not a name")
        if length is not None and length > self.limit:
            raise self.too_large(0)
        handle, part = tempfile.mkstemp(dir=self.folder)
        try:
            size = 0
            async with aiofiles.open(handle, "wb") as file:
                async for chunk in request.content.iter_chunked(CHUNK):
                    size += len(chunk)
                    if size > self.limit:
                        raise self.too_large(self.limit)
                    await file.write(chunk)
            if self.failing > 0:
                self.failing -= 1
                raise Refusal(503, "try again")
            os.replace(part, self.folder / name)
        except BaseException:
            os.unlink(part)
            raise
        known = "unknown" if length is None else "known"
        return f"{size} bytes stored, length {known}"

    def too_large(self, read):
        return Refusal(413, f"{read} bytes read, {self.limit} are the most")


async def stall(request):
    """Does not read the body."""
    await asyncio.sleep(60)


class Server:
    def __init__(self, runner, store):
        self.address = "http://{}:{}".format(*runner.addresses[0])
        self.store = store

    def url(self, name):
        return f"{self.address}/files/{name}"


@contextlib.asynccontextmanager
async def start_server(folder):
    store = Store(folder, MEGABYTE)
    app = web.Application()
    app.router.add_put("/files/{name}", store.put)
    app.router.add_put("/stalled", stall)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.01)
    await runner.setup()
    listener = socket.socket()
    # Else the system takes in many megabytes that nobody reads.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    listener.bind(("127.0.0.1", 0))
    try:
        await web.SockSite(runner, listener).start()
        yield Server(runner, store)
    finally:
        await runner.cleanup()


def quarters():
    """Prints a line for each quarter of a megabyte."""
    quarter = MEGABYTE // 4
    sent = 0

    def progress(size):
        nonlocal sent
        before = sent // quarter
        sent += size
        if sent // quarter > before:
            print(f"{sent} bytes sent")

    return progress


class Count:
    """Counts what was read of a large file."""

    def __init__(self):
        self.read = 0

    def progress(self, size):
        self.read += size

    def report(self):
        # More than that does not fit into the buffers of the system.
        most = (self.read // (64 * MEGABYTE) + 1) * 64
        print(f"less than {most} of 256 MB were read")


async def report(upload):
    """Tells whether it was uploaded."""
    try:
        print(await upload)
        return True
    except UploadError as error:
        print(error)
        return False


async def use(folder, stored):
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def part(number):
        await asyncio.sleep(start + 0.5 * number - loop.time())

    small, large = folder / "small", folder / "large"
    small.write_bytes(b"x" * MEGABYTE)
    # It takes no room on the disk.
    large.touch()
    os.truncate(large, 256 * MEGABYTE)
    patience = 0.3
    timeout = aiohttp.ClientTimeout(total=None)

    async with (
        start_server(stored) as server,
        aiohttp.ClientSession(timeout=timeout) as session,
    ):
        await part(1)
        print("A megabyte:")
        await report(
            upload(session, server.url("stored"), small, patience, quarters())
        )

        await part(2)
        print("Too large:")
        url, count = server.url("large"), Count()
        await report(upload(session, url, large, patience, count.progress))
        count.report()

        await part(3)
        print("A server that does not read:")
        url, count = f"{server.address}/stalled", Count()
        try:
            await upload(session, url, large, patience, count.progress)
        except UploadError as error:
            await part(4)
            print(error)
        count.report()

        print("A server that fails at first, and the same body again:")
        server.store.failing = 1
        again = body(small, Count().progress)
        async with session.put(server.url("again"), data=again) as response:
            print(f"status {response.status}")
        async with session.put(server.url("again"), data=again) as response:
            print(await response.text())

        await part(5)
        print("A new body for each attempt:")
        server.store.failing = 2
        for attempt in range(1, 4):
            url, count = server.url("retried"), Count()
            sending = upload(session, url, small, patience, count.progress)
            if await report(sending):
                break
            await asyncio.sleep(attempt / 10)
        await part(6)
        print(f"in the folder: {', '.join(sorted(os.listdir(stored)))}")


async def main():
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as stored:
        await use(Path(folder), Path(stored))


asyncio.run(main())
