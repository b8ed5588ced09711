import asyncio


async def calibrate():
    await asyncio.sleep(0.3)
    return "calibrated"


async def store_until_deadline(readings):
    deadline = asyncio.create_task(asyncio.sleep(0.65))
    calibration = asyncio.create_task(calibrate())
    get = asyncio.create_task(readings.get())
    waiting = {deadline, calibration, get}
    state = None
    try:
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
    finally:
        for task in [deadline, calibration, get]:
            task.cancel()
    print("Timed out")


async def send(readings):
    for reading in range(1, 7):
        await asyncio.sleep(0.1)
        readings.put_nowait(reading)


async def main():
    print("Readings every 100 ms, each of which takes 150 ms to store:")
    readings = asyncio.Queue()
    await asyncio.gather(send(readings), store_until_deadline(readings))


asyncio.run(main())
