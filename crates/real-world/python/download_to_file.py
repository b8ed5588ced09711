# /// script
# requires-python = ">=3.11"
# dependencies = ["aiofiles", "aiohttp"]
# ///
import asyncio
import contextlib
import dataclasses
import os
import secrets
import tempfile
from pathlib import Path

import aiofiles
import aiohttp
from aiohttp import web


@dataclasses.dataclass
class Limits:
    max_bytes: int
    stall: float
    max_time: float


class DownloadError(Exception):
    pass


async def download(session, url, target, limits, progress):
    """Replaces what had the name, and returns the number of bytes."""
    timeout = aiohttp.ClientTimeout(
        total=limits.max_time, sock_connect=limits.stall, sock_read=limits.stall
    )
    part = target.with_name(f".{secrets.token_hex(8)}.part")
    too_large = DownloadError(f"more than {limits.max_bytes} bytes")
    try:
        async with session.get(url, timeout=timeout, raise_for_status=True) as response:
            # 204, 206 and 304 are no errors, and no files.
            if response.status != 200:
                raise DownloadError(f"status {response.status}")
            total = response.content_length
            if total is not None and total > limits.max_bytes:
                raise too_large
            async with aiofiles.open(part, "xb") as file:
                size = 0
                async for chunk in response.content.iter_any():
                    size += len(chunk)
                    if size > limits.max_bytes:
                        raise too_large
                    await file.write(chunk)
                    progress(size, total)
                await file.flush()
                # Without it a power cut may leave the name, and no bytes.
                await asyncio.to_thread(os.fsync, file.fileno())
        await asyncio.to_thread(part.replace, target)
        return size
    except TimeoutError as error:
        raise DownloadError("too slow") from error
    except aiohttp.ClientError as error:
        raise DownloadError("the connection broke") from error
    except OSError as error:
        raise DownloadError("the file cannot be written") from error
    finally:
        part.unlink(missing_ok=True)


SEEN = web.AppKey("seen", asyncio.Queue)


async def answer(request):
    """Sends pieces of 1,000 bytes, 0.1 s after the client has seen the one before."""
    kind = request.match_info["kind"]
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    for number in range(10_000 if kind == "drips" else 4):
        if number > 0:
            await request.app[SEEN].get()
            await asyncio.sleep(0.1)
        if number == 2 and kind == "breaks":
            request.transport.abort()
            return response
        if number == 2 and kind == "stalls":
            await asyncio.Event().wait()
        await response.write(b"x" * 1_000)
    return response


async def download_to_final_name(session, url, target, seen):
    """The trap."""
    async with session.get(url) as response, aiofiles.open(target, "wb") as file:
        async for chunk in response.content.iter_any():
            await file.write(chunk)
            seen.put_nowait(len(chunk))


def show(folder):
    """Prints the names of the files, and how long they are."""
    sizes = sorted(f"{file.name} {file.stat().st_size}" for file in folder.iterdir())
    print(f"in the folder: {', '.join(sizes)}")


async def use(folder, session, root, seen):
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def at(seconds):
        await asyncio.sleep(start + seconds - loop.time())

    async def report(kind, limits, name):
        while not seen.empty():
            seen.get_nowait()

        def show(size, total):
            seen.put_nowait(size)
            # The drip would print as many lines as its limit lets through.
            if kind != "drips":
                print(f"{size} bytes")

        try:
            url, target = f"{root}/{kind}", folder / name
            print(f"done, {await download(session, url, target, limits, show)} bytes")
        except DownloadError as error:
            print(error)

    limits = Limits(max_bytes=4_000, stall=30, max_time=30)

    await at(0.5)
    print("Under its final name, and the connection breaks:")
    target = folder / "half"
    try:
        await download_to_final_name(session, f"{root}/breaks", target, seen)
        print("failed: false")
    except aiohttp.ClientError:
        print("failed: true")
    show(folder)
    target.unlink()

    await at(1)
    print("Beside it, and the connection breaks:")
    await report("breaks", limits, "file")
    show(folder)

    await at(1.5)
    print("Whole:")
    await report("whole", limits, "file")
    show(folder)

    await at(2.5)
    print("It stalls:")
    await report("stalls", dataclasses.replace(limits, stall=1), "file")

    await at(4)
    print("It goes on and on:")
    enough = dataclasses.replace(limits, max_bytes=100_000_000)
    await report("drips", dataclasses.replace(enough, max_time=1), "file")

    await at(5.5)
    print("Larger than allowed:")
    less = dataclasses.replace(limits, max_bytes=3_999)
    await report("whole", less, "file")

    await at(6.5)
    print("There is no such folder:")
    await report("whole", limits, "nowhere/file")

    print("Dropped after 1 s:")
    try:
        async with asyncio.timeout(1):
            await report("drips", enough, "file")
        print("dropped: false")
    except TimeoutError:
        print("dropped: true")
    show(folder)


async def main():
    # A disk may be slow.
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    app = web.Application()
    app[SEEN] = seen = asyncio.Queue()
    app.router.add_get("/{kind}", answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    root = "http://{}:{}".format(*runner.addresses[0])
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(runner.cleanup)
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=memory))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        await use(Path(folder), session, root, seen)


asyncio.run(main())
