import asyncio


def callback(name):
    print(f"Callback {name} executed")


async def main():
    print("Event loop demonstration")
    loop = asyncio.get_running_loop()
    loop.call_soon(callback, "soon")
    loop.call_later(1, callback, "later")
    unwanted = loop.call_later(1.5, callback, "unwanted")
    loop.call_at(loop.time() + 2, callback, "at_time")
    unwanted.cancel()
    await asyncio.sleep(3)


asyncio.run(main())
