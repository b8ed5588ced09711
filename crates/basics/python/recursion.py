import asyncio
from dataclasses import dataclass, field


@dataclass
class Folder:
    name: str
    size: int
    folders: list["Folder"] = field(default_factory=list)

    async def read(self):
        await asyncio.sleep(self.size / 1000)
        if self.name == "secret":
            raise PermissionError(f"{self.name}: permission denied")
        print(f"{self.name}: {self.size}")
        return self.size


async def total_size(folder):
    total = await folder.read()
    for inner in folder.folders:
        total += await total_size(inner)
    return total


async def total_size_at_once(folder):
    own = await folder.read()
    async with asyncio.TaskGroup() as group:
        inner = [total_size_at_once(inner) for inner in folder.folders]
        tasks = [group.create_task(size) for size in inner]
    return own + sum(task.result() for task in tasks)


def leaves(group):
    """The errors of a group, also of the groups inside it."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error


async def show(total):
    try:
        print(f"Total: {await total}")
    except* PermissionError as group:
        for error in leaves(group):
            print(f"Error: {error}")


async def main():
    photos = Folder("photos", 200, [Folder("2026", 100)])
    home = Folder("home", 100, [photos, Folder("music", 250)])

    print("One after another:")
    await show(total_size(home))

    print("All at once, and one of them is unreadable:")
    backup = Folder("backup", 50, [Folder("secret", 150)])
    disk = Folder("disk", 100, [home, backup])
    await show(total_size_at_once(disk))


asyncio.run(main())
