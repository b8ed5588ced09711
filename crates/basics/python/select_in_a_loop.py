import asyncio
import contextlib


@contextlib.asynccontextmanager
async def sensor():
    readings = asyncio.Queue()

    async def send():
        for reading in range(1, 7):
            await asyncio.sleep(0.1)
            readings.put_nowait(reading)

    sender = asyncio.create_task(send())
    try:
        yield readings
    finally:
        sender.cancel()


async def until_silence(readings):
    try:
        while True:
            async with asyncio.timeout(0.25):
                reading = await readings.get()
            print(f"Reading {reading}")
    except TimeoutError:
        print("Silence")


async def until_deadline(readings):
    try:
        async with asyncio.timeout(0.25):
            while True:
                reading = await readings.get()
                print(f"Reading {reading}")
    except TimeoutError:
        print("Timed out")


async def main():
    print("A sleep made anew in each turn:")
    async with sensor() as readings:
        await until_silence(readings)

    print("A sleep made once:")
    async with sensor() as readings:
        await until_deadline(readings)


asyncio.run(main())
