import asyncio

SLOW = 0.2
LIMIT = 1


class Log:
    def __init__(self):
        self.lines = []
        self._lock = asyncio.Lock()

    async def write(self, line):
        async with self._lock:
            await asyncio.sleep(0.1)
            print(f'wrote "{line}"')
            self.lines.append(line)

    async def back_up(self):
        async with self._lock:
            print("the backup has the lock")
            await asyncio.sleep(0.4)
            print("the backup is done")


async def spawned(log):
    request = asyncio.create_task(log.write("request"))
    await asyncio.wait([request], timeout=SLOW)
    if not request.done():
        print("the request is slow")
        await log.write("note")
    await request


async def dropped(log):
    try:
        async with asyncio.timeout(SLOW):
            await log.write("request")
    except TimeoutError:
        print("the request is slow")
        await log.write("note")
        await log.write("request")


async def during_backup(log, work):
    async with asyncio.TaskGroup() as group:
        group.create_task(log.back_up())
        await asyncio.sleep(0.05)
        try:
            async with asyncio.timeout(LIMIT):
                await work
        except TimeoutError:
            print("deadlock: nothing happens for 1 s")


async def main():
    log = Log()

    # In asyncio there is no such future: what runs next to this is a task.
    print("A request that nobody polls meanwhile:")
    await during_backup(log, spawned(log))
    print(f"lines in the log: {len(log.lines)}")

    print("The request as a task:")
    await during_backup(log, spawned(log))

    print("The request is dropped before the note, and sent again:")
    await during_backup(log, dropped(log))


asyncio.run(main())
