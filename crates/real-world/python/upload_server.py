# /// script
# requires-python = ">=3.11"
# dependencies = ["aiohttp"]
# ///
import asyncio
import contextlib
import dataclasses
import os
import re
import secrets
import tempfile
from pathlib import Path

import aiohttp
from aiohttp import web


@dataclasses.dataclass
class Limits:
    max_bytes: int
    max_uploads: int
    stall: float
    max_time: float


class Refusal(Exception):
    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


# Harmless in a path, a shell and a log.
NAME = re.compile(r"\w[\w.-]*")


# The names of unfinished files.
PART = re.compile(r"\.uploading-[0-9a-f]{16}\.part")


def open_part(folder):
    part = folder / f".uploading-{secrets.token_hex(8)}.part"
    return part, open(part, "xb", buffering=0)


def sync(file):
    # Without it a power cut may leave the name, and no bytes.
    os.fsync(file.fileno())


class UploadStore:
    """A folder for uploads. Only one server may use it."""

    def __init__(self, folder, limits):
        self._folder = folder
        self._limits = limits
        self._permits = asyncio.Semaphore(limits.max_uploads)
        folder.mkdir(parents=True, exist_ok=True)
        # A server that was killed has left them.
        for part in folder.iterdir():
            if PART.fullmatch(part.name):
                part.unlink()

    def app(self):
        app = web.Application(client_max_size=0)
        app.router.add_put("/{name}", self._put)
        return app

    async def _put(self, request):
        # Where this refuses a body, aiohttp reads on for a while by itself.
        try:
            if self._permits.locked():
                raise Refusal(503, "too many uploads")
            async with self._permits:
                size = await self._store(request)
            return web.Response(status=201, text=f"{size} bytes stored")
        except Refusal as refusal:
            status, text = refusal.status, str(refusal)
        except TimeoutError:
            status, text = 408, "too slow"
        except OSError as error:
            # For the operator alone, as it contains paths.
            request.app.logger.error("upload: %s", error)
            status, text = 500, "the file cannot be stored"
        headers = {"Connection": "close", "Retry-After": "1"}
        return web.Response(status=status, text=text, headers=headers)

    async def _store(self, request):
        name, limits = request.match_info["name"], self._limits
        if not NAME.fullmatch(name) or len(name.encode()) > 200:
            raise Refusal(400, "not a name for a file")
        too_large = Refusal(413, f"more than {limits.max_bytes} bytes")
        if (request.content_length or 0) > limits.max_bytes:
            raise too_large
        part, file = await asyncio.to_thread(open_part, self._folder)
        try:
            with file:
                size = 0
                async with asyncio.timeout(limits.max_time):
                    while True:
                        async with asyncio.timeout(limits.stall):
                            chunk = await request.content.readany()
                        if not chunk:
                            break
                        size += len(chunk)
                        if size > limits.max_bytes:
                            raise too_large
                        await asyncio.to_thread(file.write, chunk)
                await asyncio.to_thread(sync, file)
            await asyncio.to_thread(os.replace, part, self._folder / name)
        finally:
            part.unlink(missing_ok=True)
        return size


async def stalled(text):
    """Begins with the text, and then neither goes on nor ends."""
    yield text
    await asyncio.get_running_loop().create_future()


async def chunks():
    """2,000 bytes, whose length is not sent."""
    for _ in range(20):
        yield b"x" * 100


async def main():
    # A disk may be slow.
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        await use(Path(folder))


async def use(folder):
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def part(number):
        await asyncio.sleep(start + 0.5 * number - loop.time())

    # A server that was killed has left it.
    (folder / ".uploading-0123456789abcdef.part").write_text("half")
    limits = Limits(max_bytes=1_000, max_uploads=2, stall=0.2, max_time=5)
    store = UploadStore(folder, limits)
    runner = web.AppRunner(
        store.app(), handler_cancellation=True, shutdown_timeout=0.01, access_log=None
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    root = "http://{}:{}".format(*runner.addresses[0])

    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(runner.cleanup)
        session = await stack.enter_async_context(aiohttp.ClientSession())

        async def put(name, data):
            url = aiohttp.client.URL(f"{root}/{name}", encoded=True)
            async with session.put(url, data=data) as response:
                print(f"{response.status}: {await response.text()}")

        await part(1)
        print("A file, and a new version of it:")
        await put("a.txt", b"hello")
        await put("a.txt", b"hello again")

        print("Too large, its length known and unknown:")
        await put("b.txt", b"x" * 1_001)
        await put("b.txt", chunks())

        await part(2)
        print("Invalid file names:")
        for name in [".hidden", "-rf", "a%0Ab", "a%2Fb", "..%2Fa", "a:b", "a%00"]:
            await put(name, b"hello")
        await put("x" * 201, b"hello")

        await part(4)
        print("Two clients that stall, and a third one:")

        async def third():
            await asyncio.sleep(0.1)
            await put("e.txt", b"hello")

        async with asyncio.TaskGroup() as group:
            group.create_task(put("c.txt", stalled(b"hello")))
            group.create_task(put("d.txt", stalled(b"")))
            group.create_task(third())

        await part(5)
        print(f"in the folder: {', '.join(sorted(os.listdir(folder)))}")


asyncio.run(main())
