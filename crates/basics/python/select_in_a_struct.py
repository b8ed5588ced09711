import asyncio


class Station:
    """Adds up readings and reports the sum at intervals."""

    def __init__(self, readings, period):
        self._readings = readings
        self._period = period
        self._sum = 0

    async def run(self):
        reports = asyncio.create_task(self._report())
        while (reading := await self._readings.get()) is not None:
            print(f"Reading {reading}")
            self._sum += reading
        reports.cancel()
        return self._sum

    async def _report(self):
        while True:
            await asyncio.sleep(self._period)
            print(f"Sum {self._sum}")
            self._sum = 0


async def measure(readings):
    for reading in range(1, 5):
        await asyncio.sleep(0.1)
        await readings.put(reading)
    await readings.put(None)


async def main():
    readings = asyncio.Queue(8)
    station = Station(readings, 0.25)
    rest, _ = await asyncio.gather(station.run(), measure(readings))
    print(f"Not reported: {rest}")


asyncio.run(main())
