import asyncio


class Thermometer:
    """A value, and a condition that is notified of each change."""

    def __init__(self, degrees):
        self.degrees = degrees
        self.is_off = False
        self.changed = asyncio.Condition()

    async def set(self, degrees):
        async with self.changed:
            self.degrees = degrees
            self.changed.notify_all()

    async def turn_off(self):
        async with self.changed:
            self.is_off = True
            self.changed.notify_all()


async def draw(thermometer):
    """Draws the latest value, every 250 ms at most, until there is no other."""
    while True:
        await asyncio.sleep(0.25)
        drawn = thermometer.degrees
        print(f"drawing {drawn}")
        async with thermometer.changed:
            await thermometer.changed.wait_for(
                lambda: thermometer.is_off or thermometer.degrees != drawn
            )
        if thermometer.degrees == drawn:
            print("no more to draw")
            return


async def warn_at(limit, thermometer):
    """Warns once, when the value reaches the limit."""
    async with thermometer.changed:
        await thermometer.changed.wait_for(
            lambda: thermometer.is_off or thermometer.degrees >= limit
        )
        if thermometer.degrees >= limit:
            print(f"limit {limit} reached: the value is {thermometer.degrees}")
        else:
            print(f"never reached {limit}")


async def main():
    thermometer = Thermometer(20)
    async with asyncio.TaskGroup() as group:
        group.create_task(draw(thermometer))
        group.create_task(warn_at(23, thermometer))
        group.create_task(warn_at(30, thermometer))

        for degrees in [21, 23, 24, 22]:
            await asyncio.sleep(0.1)
            await thermometer.set(degrees)

        await asyncio.sleep(0.05)
        await thermometer.turn_off()


asyncio.run(main())
