import asyncio
import time


def compute():
    time.sleep(0.5)
    print("The code after the spawn is done")


async def work():
    print("The task starts")


async def spawn_and_compute():
    task = asyncio.create_task(work())
    compute()
    await task


async def main():
    # The event loop has one thread, and needs no signal.
    print("On one thread:")
    await spawn_and_compute()


asyncio.run(main())
