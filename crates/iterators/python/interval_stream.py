import asyncio
from itertools import count

PERIOD = 0.4


async def ticks(stop):
    loop = asyncio.get_running_loop()
    due = loop.time()
    for number in count():
        try:
            async with asyncio.timeout_at(due):
                await stop.wait()
            return
        except TimeoutError:
            missed = max(0, (loop.time() - due) // PERIOD)
            due += (1 + missed) * PERIOD
            yield number


async def work(number):
    print(f"tick {number}")
    await asyncio.sleep(PERIOD * 5 / 2 if number == 2 else PERIOD / 2)
    print(f"worked on {number}")


def stop_after(seconds):
    """Returns an event that is set after a delay."""
    event = asyncio.Event()

    def stop():
        print("stop!")
        event.set()

    asyncio.get_running_loop().call_later(seconds, stop)
    return event


async def main():
    print("Stopped while the body works:")
    async for number in ticks(stop_after(0.5)):
        await work(number)
    print("the end")

    print("Stopped between two ticks:")
    async for number in ticks(stop_after(2.3)):
        await work(number)
    print("the end")


asyncio.run(main())
