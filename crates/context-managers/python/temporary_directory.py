import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@asynccontextmanager
async def temporary_directory(parent):
    directory = await asyncio.to_thread(TemporaryDirectory, dir=parent)
    try:
        yield Path(directory.name)
    finally:
        await asyncio.to_thread(directory.cleanup)


class LetterError(Exception):
    pass


async def write(parent, kind):
    async with temporary_directory(parent) as directory:
        await asyncio.to_thread((directory / "letter.txt").write_text, kind)
        await print_count(parent)
        await asyncio.sleep(0.2)
        match kind:
            case "reminder":
                raise LetterError("no address for the reminder")
            case "invoice":
                raise AssertionError("no template for an invoice")


async def print_count(parent):
    entries = await asyncio.to_thread(lambda: list(parent.iterdir()))
    print(f"temporary directories: {len(entries)}")


async def main():
    async with temporary_directory(None) as parent:
        print("Success, and an error of the body:")
        await write(parent, "thanks")
        await print_count(parent)
        try:
            await write(parent, "reminder")
        except LetterError as error:
            print(f"error: {error}")
        await print_count(parent)

        print("The body has a bug:")
        try:
            await write(parent, "invoice")
        except AssertionError:
            await print_count(parent)

        print("A timeout of 0.1 s:")
        try:
            async with asyncio.timeout(0.1):
                await write(parent, "thanks")
        except TimeoutError:
            await print_count(parent)

        print("The guard is not kept:")
        path = Path(TemporaryDirectory(dir=parent).name) / "letter.txt"
        try:
            await asyncio.to_thread(path.write_text, "thanks")
        except FileNotFoundError:
            print("cannot write: the directory is already removed")


asyncio.run(main())
