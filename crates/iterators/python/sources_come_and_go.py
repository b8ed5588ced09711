import asyncio
from itertools import count


async def commands():
    await asyncio.sleep(0.05)
    yield "join", "north"
    await asyncio.sleep(0.55)
    yield "join", "south"
    await asyncio.sleep(0.15)
    yield "join", "north"
    await asyncio.sleep(0.5)
    yield "leave", "north"
    await asyncio.sleep(0.1)
    yield "leave", "east"
    await asyncio.sleep(0.4)


async def messages(room):
    numbers, seconds = (count(1), 0.2) if room == "north" else (range(1, 5), 0.3)
    for number in numbers:
        await asyncio.sleep(seconds)
        yield number


async def follow(room):
    async for number in messages(room):
        print(f"{room}: message {number}")


async def chat(commands):
    rooms = {}
    async for command, room in commands:
        old = rooms.pop(room, None)
        if old is not None:
            old.cancel()
        if command == "join":
            print(f"joining {room}" if old is None else f"joining {room} again")
            rooms[room] = asyncio.create_task(follow(room))
        else:
            print(f"not in {room}" if old is None else f"leaving {room}")
    for task in rooms.values():
        task.cancel()
    print("no more commands")


FOLDERS = {
    "src/": (["main.rs", "net/", "io/"], 0.1),
    "src/net/": (["tcp.rs"], 0.35),
    "src/io/": (["file.rs"], 0.15),
}


async def entries(folder):
    names, seconds = FOLDERS[folder]
    for name in names:
        await asyncio.sleep(seconds)
        yield folder + name


async def walk(folder, group):
    async for path in entries(folder):
        print(path)
        if path.endswith("/"):
            group.create_task(walk(path, group))


async def main():
    print("Rooms by their name:")
    await chat(commands())

    print("A source that brings others:")
    async with asyncio.TaskGroup() as group:
        group.create_task(walk("src/", group))
    print("all have ended")


asyncio.run(main())
