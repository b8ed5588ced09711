# /// script
# requires-python = ">=3.11"
# dependencies = ["aiohttp"]
# ///
import asyncio
import contextlib
import dataclasses
import json
import os
import secrets
import tempfile
from pathlib import Path

import aiohttp
from aiohttp import web

CHUNK = 64 * 1024


@dataclasses.dataclass
class Limits:
    form: int
    field: int
    parts: int
    stall: float
    time: float


class Refusal(Exception):
    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


@dataclasses.dataclass
class FormFile:
    field: str
    # A text for people: never a part of a path.
    client_name: str
    path: Path
    size: int = 0

    def store(self):
        """Keeps the file, which is removed otherwise, and returns its path."""
        target = self.path.with_suffix("")
        self.path.rename(target)
        return target


def open_part(folder):
    path = folder / f"form-{secrets.token_hex(16)}.part"
    return path, open(path, "xb", buffering=0)


def sync(file):
    # Without it a power cut may leave the name, and no bytes.
    os.fsync(file.fileno())


class Form:
    """A form that is read with limits; its files are removed at the end, or stored."""

    def __init__(self, folder, limits):
        self._folder = folder
        self._limits = limits
        self._size = 0
        self.fields = []
        self.files = []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        for file in self.files:
            file.path.unlink(missing_ok=True)

    async def receive(self, request):
        try:
            async with asyncio.timeout(self._limits.time):
                await self._receive(request)
        except TimeoutError:
            raise Refusal(408, "too slow") from None
        except (ValueError, AssertionError, aiohttp.EofStream):
            raise Refusal(400, "the form is broken") from None

    async def _receive(self, request):
        if request.content_type != "multipart/form-data":
            raise Refusal(400, "not a form")
        parts = await request.multipart()
        while True:
            async with asyncio.timeout(self._limits.stall):
                part = await parts.next()
            if part is None:
                return
            if len(self.fields) + len(self.files) == self._limits.parts:
                raise Refusal(413, "the number of parts is too large")
            if part.filename is not None:
                await self._write(part)
                continue
            value = b""
            while chunk := await self._next(part):
                value += chunk
                if len(value) > self._limits.field:
                    raise Refusal(413, "a field is too large")
            self.fields.append((part.name, value.decode(errors="replace")))

    async def _write(self, part):
        path, file = await asyncio.to_thread(open_part, self._folder)
        received = FormFile(part.name, part.filename, path)
        self.files.append(received)
        with file:
            while chunk := await self._next(part):
                received.size += len(chunk)
                await asyncio.to_thread(file.write, chunk)
            await asyncio.to_thread(sync, file)

    async def _next(self, part):
        async with asyncio.timeout(self._limits.stall):
            chunk = await part.read_chunk(CHUNK)
        self._size += len(chunk)
        if self._size > self._limits.form:
            raise Refusal(413, "the form is too large")
        return chunk


def quoted(text):
    return json.dumps(text, ensure_ascii=False)


class Service:
    def __init__(self, folder, limits):
        self._folder = folder
        self._limits = limits

    async def create(self, request):
        """Stores the files, and answers with what has come."""
        try:
            async with Form(self._folder, self._limits) as form:
                await form.receive(request)
                answer = [f"{name} {quoted(value)}" for name, value in form.fields]
                for file in form.files:
                    name = quoted(file.client_name)
                    answer.append(f"{file.field} {name} of {file.size} bytes")
                    file.store()
            return web.Response(status=201, text=", ".join(answer))
        except Refusal as refusal:
            status, text = refusal.status, str(refusal)
        except OSError as error:
            # For the operator alone, as it contains paths.
            request.app.logger.error("form: %s", error)
            status, text = 500, "the form cannot be stored"
        # aiohttp reads on for a while by itself.
        return web.Response(status=status, text=text, headers={"Connection": "close"})


async def stalled():
    yield b"Boil"
    await asyncio.get_running_loop().create_future()


async def use(folder, source):
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def part(number):
        await asyncio.sleep(start + 0.5 * number - loop.time())

    limits = Limits(form=10_000, field=100, parts=3, stall=0.2, time=5)
    app = web.Application()
    app.router.add_post("/", Service(folder, limits).create)
    runner = web.AppRunner(
        app, handler_cancellation=True, shutdown_timeout=0.01, access_log=None
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = "http://{}:{}/".format(*runner.addresses[0])

    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(runner.cleanup)
        session = await stack.enter_async_context(aiohttp.ClientSession())

        async def post(data, headers=None):
            async with session.post(url, data=data, headers=headers) as response:
                print(f"{response.status}: {await response.text()}")

        def form(**fields):
            data = aiohttp.FormData(quote_fields=False, default_to_multipart=True)
            for name, value in fields.items():
                data.add_field(name, value)
            return data

        await part(1)
        print("A field and two files:")
        tea, cake = source / "tea.txt", source / "cake.txt"
        tea.write_text("Boil water.\n")
        cake.write_text("Take flour, butter and eggs.\n")
        with open(tea, "rb") as first, open(cake, "rb") as second:
            data = form(title="Recipes")
            data.add_field("recipe", first, filename=tea.name)
            data.add_field("recipe", second, filename=cake.name)
            await post(data)
        print("A file name that leads out of the folder:")
        data = form()
        data.add_field("recipe", b"root", filename="../../etc/passwd")
        await post(data)

        await part(2)
        print("Too large, in three ways:")
        data = form()
        data.add_field("recipe", b"x" * 20_000, filename="large.txt")
        await post(data)
        await post(form(title="x" * 101))
        await post(form(a="", b="", c="", d=""))

        await part(3)
        print("Not a form, and half a form:")
        await post("title=Recipes", {"Content-Type": "text/plain"})
        head = 'content-disposition: form-data; name="recipe"; filename="a"'
        half_a_form = f"--limit\r\n{head}\r\n\r\nBoil".encode()
        content_type = "multipart/form-data; boundary=limit"
        await post(half_a_form, {"Content-Type": content_type})

        await part(4)
        print("A client that stalls:")
        data = form()
        data.add_field("recipe", stalled(), filename="stalled.txt")
        await post(data)

        await part(5)
        print(f"files in the folder: {len(os.listdir(folder))}")


async def main():
    # A disk may be slow.
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with (
        tempfile.TemporaryDirectory(dir=memory) as folder,
        tempfile.TemporaryDirectory(dir=memory) as source,
    ):
        await use(Path(folder), Path(source))


asyncio.run(main())
