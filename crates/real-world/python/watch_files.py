# /// script
# requires-python = ">=3.11"
# dependencies = ["watchfiles"]
# ///
import asyncio
import tempfile
from pathlib import Path

from watchfiles import awatch


async def collect(folder, names):
    """Collects the names of text files that have changed."""
    async for changes in awatch(folder, step=50, debounce=500):
        for _, path in changes:
            if path.endswith(".txt"):
                names.add(Path(path).name)


def write_three(folder):
    """Changes three files one after the other."""
    for name in ["a.txt", "b.txt", "c.txt"]:
        (folder / name).write_text("one")
        (folder / name).write_text("two")


async def use(folder):
    loop = asyncio.get_running_loop()
    part = loop.time()
    names = set()
    collecting = asyncio.create_task(collect(folder, names))

    async def report():
        nonlocal part
        part += 0.4
        await asyncio.sleep(part - loop.time())
        if names:
            print(f"changed: {', '.join(sorted(names))}")
        else:
            print("nothing has changed")
        names.clear()

    try:
        await report()
        print("Three files, each written twice:")
        write_three(folder)
        await report()
        print("An editor replaces a file by renaming another one, and then again:")
        for text in ["three", "four"]:
            (folder / "new").write_text(text)
            (folder / "new").rename(folder / "a.txt")
        await report()
        print("A file in a new folder:")
        (folder / "inner").mkdir()
        await report()
        (folder / "inner" / "d.txt").write_text("one")
        await report()
        print("All files are read:")
        for name in ["a.txt", "b.txt", "c.txt", "inner/d.txt"]:
            (folder / name).read_text()
        await report()
        print("One is removed:")
        (folder / "b.txt").unlink()
        await report()
    finally:
        collecting.cancel()
        await asyncio.gather(collecting, return_exceptions=True)
    # The watch has ended meanwhile.
    part += 0.4
    await asyncio.sleep(part - loop.time())


async def main():
    with tempfile.TemporaryDirectory() as folder:
        await use(Path(folder))


asyncio.run(main())
