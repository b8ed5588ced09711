import asyncio


async def hello():
    print("Hello")
    await asyncio.sleep(1)
    print("World")


async def greeting(name):
    await asyncio.sleep(0.5)
    return f"Good morning, {name}"


async def main():
    print("Start")
    await hello()

    words = await greeting("Ada")
    print(words)
    print("End")


asyncio.run(main())
