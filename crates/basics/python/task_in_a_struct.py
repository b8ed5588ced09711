import asyncio
import contextlib


class Heartbeat:
    """Beats every second in a task of its own."""

    def __init__(self):
        self._stopping = asyncio.Event()
        self.task = asyncio.create_task(self._beat())

    def is_running(self):
        return not self.task.done()

    async def stop(self):
        self._stopping.set()
        return await self.task

    async def _beat(self):
        beats = 0
        while not self._stopping.is_set():
            beats += 1
            print(f"Beat {beats}")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._stopping.wait()
        return beats


async def main():
    heartbeat = Heartbeat()
    await asyncio.sleep(2.5)
    print(f"Running: {str(heartbeat.is_running()).lower()}")
    print(f"Stopped after {await heartbeat.stop()} beats")

    heartbeat = Heartbeat()
    await asyncio.sleep(0.5)
    # An object that is dropped does not cancel its task.
    heartbeat.task.cancel()
    await asyncio.sleep(1)
    print("After the drop, no beat came")


asyncio.run(main())
