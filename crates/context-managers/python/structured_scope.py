import asyncio
from dataclasses import dataclass, field


class Found(Exception):
    def __init__(self, path):
        super().__init__(path)
        self.path = path


class Unreadable(Exception):
    def __str__(self):
        return f"{self.args[0]} cannot be read"


@dataclass
class Folder:
    path: str
    delay: float
    file: str | Unreadable
    folders: list["Folder"] = field(default_factory=list)


@dataclass
class Search:
    file: str
    cancelled: int = 0


async def list_folder(folder, search, group):
    """Lists a folder, and starts a task for each folder in it."""
    try:
        await asyncio.sleep(folder.delay)
    except asyncio.CancelledError:
        search.cancelled += 1
        raise
    if isinstance(folder.file, Unreadable):
        raise folder.file
    print(f"{folder.path} listed")
    if folder.file == search.file:
        # A group has no other early end before `TaskGroup.cancel` of Python 3.15.
        raise Found(f"{folder.path}/{search.file}")
    for inner in folder.folders:
        group.create_task(list_folder(inner, search, group))


async def find(disk, search):
    try:
        async with asyncio.TaskGroup() as group:
            await list_folder(disk, search, group)
    except* Found as found:
        path = found.exceptions[0].path
    else:
        path = None
    return path


def disk(todo):
    """A disk, in which one file can be read or not."""
    ann = Folder("/home/ann", 0.1, "notes")
    bob = Folder("/home/bob", 0.3, todo)
    log = Folder("/var/log", 0.2, "errors")
    home = Folder("/home", 0.2, "readme", [ann, bob])
    var = Folder("/var", 0.4, "pid", [log])
    return Folder("/", 0.1, "fstab", [home, var])


async def report(file, todo):
    search = Search(file)
    try:
        # A task of its own: before CPython 3.11.3 a timeout after a failed group of the
        # same task is a CancelledError.
        path = await asyncio.create_task(find(disk(todo), search))
        print(f"found {path}" if path else f"{file} is nowhere")
    except* Unreadable as errors:
        print(errors.exceptions[0])
    print(f"listings cancelled: {search.cancelled}")


async def main():
    print("Waits for all tasks, also for those that tasks have spawned:")
    await report("letters", "todo")

    print("Ended early by a task:")
    await report("notes", "todo")

    print("Ended by an error:")
    await report("errors", Unreadable("/home/bob"))

    print("Ended by a time limit of 0.25 s:")
    try:
        async with asyncio.timeout(0.25):
            await report("notes", "todo")
    except TimeoutError:
        print("timed out")
    await asyncio.sleep(0.25)


asyncio.run(main())
