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
    async with asyncio.TaskGroup() as group:
        async for command, room in commands:
            old = rooms.pop(room, None)
            if old is not None:
                old.cancel()
            if command == "join":
                print(f"joining {room}" if old is None else f"joining {room} again")
                rooms[room] = group.create_task(follow(room))
            else:
                print(f"not in {room}" if old is None else f"leaving {room}")
        for task in rooms.values():
            task.cancel()
    print("no more commands")


asyncio.run(chat(commands()))
