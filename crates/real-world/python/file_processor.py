# /// script
# dependencies = ["aiofiles"]
# ///
import asyncio
import os
import re
import secrets
import sys
import tempfile
from pathlib import Path

import aiofiles


def walk(folder):
    for path, _, names in os.walk(folder):
        for name in names:
            yield (Path(path) / name).relative_to(folder)


def is_part(file):
    # Other programs have files that end in .part, too.
    return re.fullmatch(r"\.processing-[0-9a-f]{16}\.part", file.name)


def list_files(folder):
    """The files in a folder and in those within it, as paths from there, sorted."""
    return sorted(file for file in walk(folder) if not is_part(file))


def prepare(source, target):
    """Makes the folder, and removes what a killed program has left there."""
    target.mkdir(parents=True, exist_ok=True)
    source, target = source.resolve(), target.resolve()
    if source.is_relative_to(target) or target.is_relative_to(source):
        raise ValueError("one folder lies within the other")
    for file in walk(target):
        if is_part(file):
            (target / file).unlink(missing_ok=True)


async def process_file(convert, source, target):
    """Says whether the file was written; it is skipped if it was converted before."""

    def is_done():
        try:
            return target.stat().st_mtime_ns == modified
        except FileNotFoundError:
            return False

    # Before the first byte is read, so that a change in the meantime is seen next time.
    modified = (await asyncio.to_thread(source.stat)).st_mtime_ns
    if await asyncio.to_thread(is_done):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    # With a random name: a run that was cancelled may still rename or remove its own.
    part = target.with_name(f".processing-{secrets.token_hex(8)}.part")
    try:
        async with aiofiles.open(source) as lines, aiofiles.open(part, "w") as output:
            await convert(lines, output)

        def rename():
            os.utime(part, ns=(modified, modified))
            # Without it a power cut may leave an empty file, which the next run skips.
            with open(part) as file:
                os.fsync(file.fileno())
            part.replace(target)

        await asyncio.to_thread(rename)
    finally:
        part.unlink(missing_ok=True)
    return True


async def process(convert, source, target, files, limit, report):
    """Converts the files, at most so many at a time, and reports each that ends."""
    files = iter(files)

    async def worker():
        for file in files:
            try:
                outcome = await process_file(convert, source / file, target / file)
            except Exception as error:
                outcome = error
            report(file, outcome)

    async with asyncio.TaskGroup() as group:
        for _ in range(limit):
            group.create_task(worker())


class FilesFailed(Exception):
    pass


async def process_folder(convert, source, target, limit):
    files = await asyncio.to_thread(list_files, source)
    await asyncio.to_thread(prepare, source, target)
    counts = {"written": 0, "skipped": 0, "failed": 0}

    def report(file, outcome):
        match outcome:
            case True:
                counts["written"] += 1
                print(f"{file}: written")
            case False:
                counts["skipped"] += 1
            case error:
                counts["failed"] += 1
                print(f"{file}: {error}")
        if sys.stderr.isatty():
            print(f"\r{sum(counts.values())}/{len(files)}", end="", file=sys.stderr)

    await process(convert, source, target, files, limit, report)
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    if counts["failed"]:
        raise FilesFailed(f"{counts['failed']} of {len(files)} files failed")


def fahrenheit(longest_line, pause):
    """Makes degrees Fahrenheit of degrees Celsius, one in each line."""

    async def convert(lines, output):
        number = 0
        while line := await lines.readline(longest_line + 1):
            number += 1
            line = line.removesuffix("\n")
            if len(line) > longest_line:
                raise ValueError(f"line {number}: max line length exceeded")
            try:
                celsius = float(line)
            except ValueError:
                raise ValueError(f"line {number}: {line} is no number") from None
            await output.write(f"{celsius * 1.8 + 32:.1f}\n")
            await asyncio.sleep(pause)

    return convert


def show(folder):
    """The names of all files in the folder, with what is in them."""
    for file in sorted(folder.iterdir()):
        if file.is_file():
            print(f"{file.name}: {' '.join(file.read_text().splitlines())}")


async def stopped(delay, coro):
    try:
        async with asyncio.timeout(delay):
            await coro
            return "false"
    except TimeoutError:
        return "true"


async def demonstrate(folder):
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def at(seconds):
        await asyncio.sleep(start + seconds - loop.time())

    source, target = folder / "celsius", folder / "fahrenheit"
    (source / "north").mkdir(parents=True)
    for name, lines in {
        "athens.txt": "18\n19.5\n",
        "berlin.txt": "9\n9.5\n10\n11\n10.5\n10\n8\n",
        "cairo.txt": "24\nwarm\n",
        "delhi.txt": "25\n26\n26.00000000000000\n",
        "north/oslo.txt": "5\n6\n",
        "north/tromso.txt": "2\n",
    }.items():
        (source / name).write_text(lines)
    convert = fahrenheit(16, 0.1)

    async def run():
        try:
            await process_folder(convert, source, target, 2)
        except FilesFailed as error:
            print(f"error: {error}")

    print("Seven lines under their final name, stopped after 0.25 s:")
    async with aiofiles.open(source / "berlin.txt") as lines:
        async with aiofiles.open(folder / "berlin.txt", "w") as output:
            print(f"stopped: {await stopped(0.25, convert(lines, output))}")
    show(folder)

    await at(0.5)
    print("A folder, two files at a time, stopped after 0.4 s:")
    print(f"stopped: {await stopped(0.4, run())}")
    await asyncio.sleep(0.1)
    print("in the folder:")
    show(target)

    await at(1.5)
    print("Once more:")
    await run()

    await at(2.5)
    print("Once more, with one of them corrected:")
    (source / "cairo.txt").write_text("24\n25.5\n26\n")
    await run()
    show(target)

    await at(3.5)
    print("Into itself:")
    try:
        await process_folder(convert, source, source, 2)
    except ValueError as error:
        print(f"error: {error}")


async def main():
    # A disk may be slow.
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        await demonstrate(Path(folder))


asyncio.run(main())
