# /// script
# requires-python = ">=3.11"
# dependencies = ["tqdm"]
# ///
import asyncio

from tqdm import tqdm


def bar(total, **options):
    # `disable=None`: drawn only if standard error is a terminal.
    return tqdm(total=total, disable=None, leave=False, **options)


def write(line):
    """Prints a line above the bars."""
    with tqdm.external_write_mode():
        print(line)


class Progress:
    """A bar for each download, and one for the number of all."""

    def __init__(self, downloads):
        self.downloads = downloads
        self.done = 0
        self._all = bar(downloads, unit="file")

    def finish_one(self):
        self.done += 1
        self._all.update()

    def close(self):
        self._all.close()


async def counted(chunks, count):
    async for chunk in chunks:
        count(len(chunk))
        yield chunk


async def chunks(number, fails):
    for _ in range(number):
        await asyncio.sleep(0.1)
        yield bytes(100)
    if fails:
        await asyncio.sleep(0.1)
        raise ConnectionResetError("connection reset")


async def download(name, number, fails, progress):
    size = 0

    def count(length):
        nonlocal size
        size += length
        line.update(length)

    with bar(100 * number, desc=name, unit="B", unit_scale=True) as line:
        try:
            async for _ in counted(chunks(number, fails), count):
                pass
        except ConnectionResetError as error:
            write(f"{name}: {error} after {size} bytes")
        else:
            write(f"{name}: {size} bytes")
    progress.finish_one()
    write(f"{progress.done} of {progress.downloads} downloads")


async def main():
    files = [("tea.jpg", 3, False), ("cake.jpg", 5, True), ("milk.jpg", 8, False)]
    progress = Progress(len(files))
    try:
        async with asyncio.TaskGroup() as group:
            for name, number, fails in files:
                group.create_task(download(name, number, fails, progress))
    finally:
        progress.close()


asyncio.run(main())
