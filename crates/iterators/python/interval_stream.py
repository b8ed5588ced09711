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


def call_later(seconds, function):
    def stop():
        print("stop!")
        function()

    asyncio.get_running_loop().call_later(seconds, stop)


async def main():
    print("Stopped while the body works:")
    stop = asyncio.Event()
    call_later(0.5, stop.set)
    async for number in ticks(stop):
        await work(number)
    print("the end")

    print("Stopped between two ticks:")
    stop = asyncio.Event()
    call_later(2.3, stop.set)
    async for number in ticks(stop):
        await work(number)
    print("the end")

    print("A signal that only wakes waiters, and one that is kept:")
    stop = asyncio.Event()

    def wake_waiters():
        stop.set()
        stop.clear()

    call_later(0.1, wake_waiters)
    call_later(0.5, stop.set)
    async for number in ticks(stop):
        await work(number)
    print("the end, at the second signal")


asyncio.run(main())
