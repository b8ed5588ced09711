import asyncio


def callback(name):
    print(f"Callback {name} executed")


async def main():
    print("Event loop demonstration")
    loop = asyncio.get_running_loop()
    start = loop.time()
    loop.call_soon(callback, "soon")
    name = "later"
    loop.call_later(1, callback, name)
    loop.call_at(start + 2, callback, "at_time")
    unwanted = loop.call_later(1.5, callback, "unwanted")

    await asyncio.sleep(0.5)
    due = unwanted.when() - start
    print(f"Half a second later the one due at {due:.1f} s is cancelled")
    unwanted.cancel()
    await asyncio.sleep(2.5)
    print("The end")


asyncio.run(main())
