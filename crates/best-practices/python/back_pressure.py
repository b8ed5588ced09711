import asyncio
import dataclasses

# How many readings may wait, where there is a limit.
CAPACITY = 2


@dataclasses.dataclass
class Report:
    stored: int = 0
    dropped: int = 0
    waited: int = 0

    def note(self, reading, waiting):
        print(f"stored {reading}, {waiting} waiting")
        self.stored += 1
        self.waited = max(self.waited, waiting)

    def print(self):
        text = f"{self.stored} stored, {self.dropped} dropped"
        print(f"{text}, at most {self.waited} waited")


async def readings(count):
    for number in range(count):
        if number > 0:
            await asyncio.sleep(0.2)
        yield number


async def store(reading):
    """The slow stage, which takes three and a half times as long."""
    await asyncio.sleep(0.7)


async def store_all(queue, report):
    while True:
        reading = await queue.get()
        await store(reading)
        report.note(reading, queue.qsize())
        queue.task_done()


async def run_stage(queue, put, count, report):
    """Puts all readings, and ends the stage when it has stored what it got."""
    async with asyncio.TaskGroup() as group:
        stage = group.create_task(store_all(queue, report))
        async for reading in readings(count):
            await put(reading)
        print("the source is done")
        await queue.join()
        stage.cancel()
    return report


async def unbounded(count):
    """The queue grows."""
    queue = asyncio.Queue()

    async def put(reading):
        queue.put_nowait(reading)

    return await run_stage(queue, put, count, Report())


async def bounded(count):
    """The source waits."""
    queue = asyncio.Queue(CAPACITY)
    return await run_stage(queue, queue.put, count, Report())


async def newest_dropped(count):
    """What finds no place is dropped."""
    queue = asyncio.Queue(CAPACITY)
    report = Report()

    async def put(reading):
        try:
            queue.put_nowait(reading)
        except asyncio.QueueFull:
            report.dropped += 1

    return await run_stage(queue, put, count, report)


async def main():
    print("Unbounded: the queue grows.")
    (await unbounded(7)).print()

    print("Bounded: the source waits.")
    (await bounded(7)).print()

    print("Bounded: the newest is dropped.")
    (await newest_dropped(7)).print()


asyncio.run(main())
