# /// script
# requires-python = ">=3.11"
# dependencies = ["aiofiles"]
# ///
import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import aiofiles


async def read_file(filename):
    async with aiofiles.open(filename) as file:
        return await file.read()


async def write_file(filename, content):
    async with aiofiles.open(filename, "w") as file:
        await file.write(content)


async def copy_in_capitals(source, target):
    text = await read_file(source)
    await write_file(target, text.upper())


async def main():
    directory = await asyncio.to_thread(TemporaryDirectory)
    with directory:
        notes, copy = [Path(directory.name, name) for name in ("notes.txt", "copy.txt")]

        await write_file(notes, "Hello, async world!")
        await copy_in_capitals(notes, copy)
        print(f"File content: {await read_file(copy)}")

        try:
            await copy_in_capitals(Path(directory.name, "missing.txt"), copy)
        except FileNotFoundError:
            print("Not there")


asyncio.run(main())
