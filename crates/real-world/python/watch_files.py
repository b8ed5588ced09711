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
        for _, path in sorted(changes, key=lambda change: "last" in change[1]):
            if path.endswith(".txt"):
                names.put_nowait(Path(path).name)


def write_three(folder):
    """Changes three files one after the other."""
    for name in ["a.txt", "b.txt", "c.txt"]:
        (folder / name).write_text("one")
        (folder / name).write_text("two")


async def use(folder):
    loop = asyncio.get_running_loop()
    part = loop.time()
    names = asyncio.Queue()
    collecting = asyncio.create_task(collect(folder, names))
    parts = 0

    async def report():
        nonlocal part, parts
        # Changes come in their order: when this one has come, all have.
        parts += 1
        last = f"last {parts}.txt"
        changed = set()
        while last not in changed:
            if parts == 1:
                # The watch may begin a moment later.
                (folder / last).write_text("")
                await asyncio.sleep(0.01)
                while not names.empty():
                    changed.add(names.get_nowait())
            else:
                if not (folder / last).exists():
                    (folder / last).write_text("")
                changed.add(await names.get())
        # Earlier ones may come once more.
        changed = sorted(name for name in changed if not name.startswith("last"))
        part += 0.5
        await asyncio.sleep(part - loop.time())
        if changed:
            print(f"changed: {', '.join(changed)}")
        else:
            print("nothing has changed")

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
    part += 0.5
    await asyncio.sleep(part - loop.time())


async def main():
    with tempfile.TemporaryDirectory() as folder:
        await use(Path(folder))


asyncio.run(main())
