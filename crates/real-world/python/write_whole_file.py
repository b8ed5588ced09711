import asyncio
import contextlib
import os
import secrets
import shutil
import tempfile
from pathlib import Path


def write_blocking(path, contents, parts):
    part = parts / f".{secrets.token_hex(8)}.part"
    try:
        with open(part, "xb") as file:
            with contextlib.suppress(FileNotFoundError):
                shutil.copymode(path, part)
            file.write(contents)
            file.flush()
            # Without it a power cut may leave the new name, and no bytes.
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    # The name is on the disk when the folder is.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


async def write_whole(path, text, parts=None):
    """The part lies next to the file, or in the folder `parts`, as in a maildir's
    `tmp`."""
    await asyncio.to_thread(write_blocking, path, text.encode(), parts or path.parent)


async def write_slowly(path, words):
    """The trap: a writer that is slow, under the final name."""
    with open(path, "w") as file:
        for word in words:
            file.write(word)
            file.flush()
            await asyncio.sleep(0.2)


async def use(folder):
    path = folder / "settings"

    print("Written directly under the final name, stopped after 0.1 s:")
    path.write_text("old settings")
    try:
        async with asyncio.timeout(0.1):
            await write_slowly(path, ["new ", "settings"])
        print("stopped: false")
    except TimeoutError:
        print("stopped: true")
    print(f"the file: {path.read_text()}")

    print("Whole:")
    await write_whole(path, "old settings")
    print(f"the file: {path.read_text()}")
    await write_whole(path, "new settings")
    print(f"the file: {path.read_text()}")

    print("A reader that has opened the old file:")
    with open(path) as reader:
        await write_whole(path, "newest")
        print(f"it reads: {reader.read()}")
    print(f"the file: {path.read_text()}")

    print("A folder has the name:")
    taken = folder / "taken"
    (taken / "more").mkdir(parents=True)
    try:
        await write_whole(taken, "text")
        print("failed: false")
    except OSError:
        print("failed: true")
    print(f"in the folder: {', '.join(sorted(os.listdir(folder)))}")


async def main():
    # A disk may be slow.
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        await use(Path(folder))


asyncio.run(main())
