import asyncio

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
    async with asyncio.TaskGroup() as group:
        group.create_task(walk("src/", group))
    print("all have ended")


asyncio.run(main())
