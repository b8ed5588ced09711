import asyncio


class CloseError(Exception):
    pass


class CloseTasks:
    """Closes connections in tasks, each within a limit."""

    def __init__(self, limit):
        self._limit = limit
        self._tasks = set()

    def spawn(self, connection):
        task = asyncio.create_task(self._close(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def wait(self):
        """Waits for all that have begun, at the end of the program."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _close(self, connection):
        try:
            async with asyncio.timeout(self._limit):
                await connection.close()
        except TimeoutError:
            raise CloseError("the close timed out") from None


class Connection:
    def __init__(self, name, close_tasks, delay):
        self.name = name
        self._close_tasks = close_tasks
        self._delay = delay

    async def close(self):
        await asyncio.sleep(self._delay)
        print(f"{self.name} has logged out")

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exception):
        # If the caller is cancelled once more, the close goes on in its task.
        await asyncio.shield(self._close_tasks.spawn(self))


class TalkError(Exception):
    pass


async def talk(connection):
    async with connection:
        await asyncio.sleep(0.2)
        raise TalkError(f"{connection.name} has nothing to say")


async def main():
    close_tasks = CloseTasks(0.4)
    pause = 0.15

    def connect(name, delay):
        return Connection(name, close_tasks, delay)

    print("Closed:")
    async with connect("Ada", 0.1):
        pass
    print("Ada is closed")

    print("Dropped by an error:")
    try:
        await talk(connect("Ben", 0.1))
    except TalkError as error:
        print(error)
    await asyncio.sleep(pause)

    print("Dropped by a cancellation:")
    cid = asyncio.create_task(talk(connect("Cid", 0.1)))
    await asyncio.sleep(pause)
    cid.cancel()
    await asyncio.wait([cid])
    if cid.cancelled():
        print("Cid was cancelled")
    await asyncio.sleep(pause)

    print("A close that takes 0.5 s, where 0.4 s are allowed:")
    try:
        async with connect("Dan", 0.5):
            pass
    except CloseError as error:
        print(f"Dan: {error}")

    print("The caller times out after 0.05 s, and the program ends:")
    try:
        async with asyncio.timeout(pause / 3):
            async with connect("Eve", 0.1):
                pass
    except TimeoutError:
        print("timed out")
    await close_tasks.wait()
    print("all are closed")


asyncio.run(main())
