import asyncio


async def rows(rows):
    for row in rows:
        yield row
        await asyncio.sleep(0.1)


async def ask_the_archive():
    print("asking the archive")
    await asyncio.sleep(0.3)
    return "from the archive"


async def rows_below_header(rows):
    try:
        header = await anext(rows)
    except StopAsyncIteration:
        print("not even a header")
        return 0
    print(f"header: {header}")
    return len([row async for row in rows])


async def main():
    print("The next or a default:")
    names = rows(["Ada"])
    for _ in range(2):
        print(await anext(names, "nobody"))

    print("Leave the function if there is no next, else count the rest:")
    print(await rows_below_header(rows(["name", "Ada", "Eve"])))
    print(await rows_below_header(rows([])))

    print("A loop with an else:")
    for name in ["Eve", "Zoe"]:
        async for greeted in rows(["Ada", "Eve Smith", "Bob"]):
            if name in greeted:
                break
        else:
            print(f"no {name} here")
            greeted = "stranger"
        print(f"hello, {greeted}")

    print("A default that must be awaited:")
    names = rows(["Ada"])
    for _ in range(2):
        try:
            name = await anext(names)
        except StopAsyncIteration:
            name = await ask_the_archive()
        print(name)


asyncio.run(main())
