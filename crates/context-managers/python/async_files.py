# /// script
# requires-python = ">=3.11"
# dependencies = ["aiofiles"]
# ///
import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import aiofiles
import aiofiles.os


async def write_lines(path, lines):
    async with aiofiles.open(path, "w") as file:
        for line in lines:
            await file.write(f"{line}\n")


async def append_line(path, line):
    async with aiofiles.open(path, "a") as file:
        await file.write(f"{line}\n")


async def find_line(path, word):
    async with aiofiles.open(path) as file:
        async for line in file:
            if word in line:
                return line.removesuffix("\n")
    return None


async def read_if_there(path):
    try:
        async with aiofiles.open(path) as file:
            return await file.read()
    except FileNotFoundError:
        return None


async def print_size(path):
    print(f"{(await aiofiles.os.stat(path)).st_size} bytes")


async def main():
    directory = await asyncio.to_thread(TemporaryDirectory)
    with directory:
        poem, log = [Path(directory.name, name) for name in ("poem.txt", "log.txt")]

        print("Line by line:")
        await write_lines(poem, ["Roses are red", "Violets are blue"])
        await append_line(poem, "Rust is, too")
        for word in ["are", "too", "green"]:
            print(f"{word}: {await find_line(poem, word) or 'in no line'}")

        print("A whole file, and one that is not there:")
        for path in (poem, log):
            match await read_if_there(path):
                case None:
                    print("not there")
                case text:
                    print(f"{len(text)} bytes")

        print("Before and after a flush:")
        async with aiofiles.open(log, "w") as file:
            await file.write("started\n")
            await print_size(log)
            await file.flush()
            await print_size(log)

            print("Left without a flush:")
            await file.write("ended\n")
        await print_size(log)


asyncio.run(main())
