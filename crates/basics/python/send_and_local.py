import asyncio


async def shout(word):
    letters = word.upper()
    shouted = f"{letters} {letters}"
    await asyncio.sleep(0.1)
    print(shouted)


async def remember(name, delay, names):
    await asyncio.sleep(delay)
    names.append(name)
    print(f"{name} is remembered, names: {len(names)}")


async def main():
    print("A task for any thread:")
    await asyncio.create_task(shout("hello"))

    print("Tasks that share a list:")
    names = []
    delays = [("Ada", 0.2), ("Ben", 0.1), ("Cleo", 0.3)]
    tasks = [
        asyncio.create_task(remember(name, delay, names)) for name, delay in delays
    ]
    await asyncio.gather(*tasks)
    print(", ".join(names))

    print("A task with a result:")

    async def length():
        await asyncio.sleep(0.1)
        return len(names)

    print(f"Names: {await asyncio.create_task(length())}")


asyncio.run(main())
