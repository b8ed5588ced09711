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
    stopped: int = 0


async def look_into(folder, search, group):
    """Lists a folder, and starts a task for each folder in it."""
    try:
        await asyncio.sleep(folder.delay)
    except asyncio.CancelledError:
        search.stopped += 1
        raise
    if isinstance(folder.file, Unreadable):
        raise folder.file
    print(f"{folder.path} listed")
    if folder.file == search.file:
        # A group has no other early end before `TaskGroup.cancel` of Python 3.15.
        raise Found(f"{folder.path}/{search.file}")
    for inner in folder.folders:
        group.create_task(look_into(inner, search, group))


async def find(folder, search):
    try:
        async with asyncio.TaskGroup() as group:
            await look_into(folder, search, group)
    except ExceptionGroup as errors:
        return result(errors)


def result(errors):
    first = errors.exceptions[0]
    if isinstance(first, Found):
        return first.path
    raise first


async def find_in_all(folders, search):
    """The same in several folders, the next of which is begun 50 ms later."""

    async def find_or_raise(folder):
        if path := await find(folder, search):
            raise Found(path)

    try:
        async with asyncio.TaskGroup() as group:
            for folder in folders:
                group.create_task(find_or_raise(folder))
                await asyncio.sleep(0.05)
    except ExceptionGroup as errors:
        return result(errors)


def disk(name, todo):
    """A disk, in which one file can be read or not."""
    ann = Folder(f"{name}/home/ann", 0.1, "notes")
    bob = Folder(f"{name}/home/bob", 0.3, todo)
    log = Folder(f"{name}/var/log", 0.2, "errors")
    home = Folder(f"{name}/home", 0.2, "readme", [ann, bob])
    var = Folder(f"{name}/var", 0.4, "pid", [log])
    return Folder(name, 0.1, "fstab", [home, var])


async def report(finding, search):
    try:
        found = await finding or "nowhere"
    except Unreadable as error:
        found = error
    print(f"{search.file}: {found}; listings stopped: {search.stopped}")


async def main():
    print("All tasks have ended, also those that tasks have spawned:")
    search = Search("letters")
    await report(find(disk("c", "todo"), search), search)

    print("Ended early by a task:")
    search = Search("notes")
    await report(find(disk("c", "todo"), search), search)

    print("Ended by an error:")
    search = Search("errors")
    locked = Unreadable("c/home/bob")
    await report(find(disk("c", locked), search), search)

    print("Two scopes within one, of which the first ends early:")
    search = Search("notes")
    disks = [disk("c", "todo"), disk("d", "todo")]
    await report(find_in_all(disks, search), search)

    print("Dropped after 0.25 s:")
    search = Search("notes")
    try:
        async with asyncio.timeout(0.25):
            await find(disk("c", "todo"), search)
    except TimeoutError:
        print("time is up")
    await asyncio.sleep(0.25)
    print(f"listings stopped: {search.stopped}")


asyncio.run(main())
