import asyncio


async def hello():
    print("Hello")
    await asyncio.sleep(1)
    print("World")


async def main():
    print("Start")
    await hello()
    print("End")


asyncio.run(main())
