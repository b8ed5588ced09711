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


async def write_letter(folder, kind):
    head = folder / "head.txt"
    await asyncio.to_thread(head.write_text, kind)
    await asyncio.sleep(0.2)
    match kind:
        case "reminder":
            raise LetterError("no address for the reminder")
        case "invoice":
            raise AssertionError("no template for an invoice")
    text = await asyncio.to_thread(head.read_text) + ", text"
    letter = folder / "letter.txt"
    await asyncio.to_thread(letter.write_text, text)
    return (await asyncio.to_thread(letter.stat)).st_size


async def print_folders(parent):
    def count_files():
        return [len(list(folder.iterdir())) for folder in Path(parent).iterdir()]

    print(f"files in each folder: {await asyncio.to_thread(count_files)}")


async def letter(parent, kind):
    async with temporary_directory(parent) as folder:
        size = await write_letter(folder, kind)
        await print_folders(parent)
    print(f"{kind}: {size} bytes")


async def main():
    async with temporary_directory(None) as parent:
        print("All goes well:")
        await letter(parent, "thanks")
        await print_folders(parent)

        print("The body fails:")
        try:
            await letter(parent, "reminder")
        except LetterError as error:
            print(f"Error: {error}")
        await print_folders(parent)

        print("The body has a bug:")
        try:
            await letter(parent, "invoice")
        except AssertionError:
            print("Ended by a bug")
        await print_folders(parent)

        print("A timeout of 0.1 s:")
        try:
            async with asyncio.timeout(0.1):
                await letter(parent, "thanks")
        except TimeoutError:
            print("Timed out")
        await print_folders(parent)

        print("The guard is not kept:")
        folder = Path(TemporaryDirectory(dir=parent).name)
        await print_folders(parent)
        try:
            await asyncio.to_thread((folder / "head.txt").write_text, "thanks")
        except FileNotFoundError:
            print("Nowhere to write to")


asyncio.run(main())
