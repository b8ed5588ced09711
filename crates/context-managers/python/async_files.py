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
    number = 1
    async with aiofiles.open(path) as file:
        async for line in file:
            if word in line:
                return number, line.removesuffix("\n")
            number += 1
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
        folder = Path(directory.name)
        hello, poem, log = [
            folder / name for name in ("hello.txt", "poem.txt", "log.txt")
        ]

        print("A whole file:")
        async with aiofiles.open(hello, "w") as file:
            await file.write("Hello, async world!")
        async with aiofiles.open(hello) as file:
            print(await file.read())

        print("Line by line:")
        await write_lines(poem, ["Roses are red", "Violets are blue"])
        await append_line(poem, "Rust is, too")
        await append_line(poem, "And so are you")
        for word in ["are", "too", "green"]:
            match await find_line(poem, word):
                case (number, line):
                    print(f"{word}: line {number}, {line}")
                case None:
                    print(f"{word}: in no line")

        print("A file that is not there:")
        for path in (hello, log):
            match await read_if_there(path):
                case None:
                    print("not there")
                case text:
                    print(f"{len(text)} letters")

        print("Before and after a flush:")
        async with aiofiles.open(log, "w") as file:
            await file.write("started\n")
            await print_size(log)
            await file.flush()
            await print_size(log)

        print("Dropped without a flush:")
        async with aiofiles.open(log, "w") as file:
            await file.write("started\n")
        await print_size(log)

        print("The folder, and then no folder:")
        print(", ".join(sorted(await aiofiles.os.listdir(folder))))
    try:
        await aiofiles.os.listdir(folder)
    except FileNotFoundError:
        print("not there")


asyncio.run(main())
