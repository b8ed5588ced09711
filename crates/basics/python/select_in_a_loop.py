import asyncio
import contextlib

LIMIT = 650
CALIBRATION = 300


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
        print("Time is up")


async def checked(readings):
    reading = await readings.get()
    await asyncio.sleep(0.1)
    return reading


async def check_until_deadline(readings):
    try:
        async with asyncio.timeout(0.25):
            while True:
                print(f"Checked {await checked(readings)}")
    except TimeoutError:
        print("Time is up")
    print(f"The next one is reading {await readings.get()}")


async def calibrate():
    await asyncio.sleep(CALIBRATION / 1000)
    return "calibrated"


async def store_until_deadline(readings):
    deadline = asyncio.create_task(asyncio.sleep(LIMIT / 1000))
    calibration = asyncio.create_task(calibrate())
    state = None
    get = asyncio.create_task(readings.get())
    waiting = {deadline, calibration, get}
    while True:
        done, waiting = await asyncio.wait(
            waiting, return_when=asyncio.FIRST_COMPLETED
        )
        if deadline in done:
            break
        if calibration in done:
            state = calibration.result()
            print(f"The sensor is {state}")
        if get in done:
            await asyncio.sleep(0.15)
            print(f"Stored {get.result()}, {state or 'raw'}")
            get = asyncio.create_task(readings.get())
            waiting.add(get)
    for task in waiting:
        task.cancel()
    print("Time is up")


async def main():
    print("A sleep made anew in each turn:")
    async with sensor() as readings:
        await until_silence(readings)

    print("A sleep made once:")
    async with sensor() as readings:
        await until_deadline(readings)

    print("A sleep made once, and a check after each reading:")
    async with sensor() as readings:
        await check_until_deadline(readings)

    print(f"A limit of {LIMIT}ms, a calibration of {CALIBRATION}ms:")
    async with sensor() as readings:
        await store_until_deadline(readings)


asyncio.run(main())
