# cancel: no (when the program is cancelled, no server answers a goodbye)
import asyncio
from dataclasses import dataclass


@dataclass
class Text:
    text: str


@dataclass
class Goodbye:
    answer: asyncio.Future


class CloseError(Exception):
    pass


class CloseTasks:
    """Says goodbye for connections that are closed."""

    def __init__(self, limit):
        self._limit = limit
        self._tasks = set()

    def spawn(self, line):
        task = asyncio.create_task(self._goodbye(line))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def wait(self):
        """Waits for all that have begun, at the end of the program."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _goodbye(self, line):
        answer = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._limit):
                await line.put(Goodbye(answer))
                await answer
        except TimeoutError:
            raise CloseError("no answer to the goodbye") from None


class Connection:
    """Says goodbye when it is left."""

    def __init__(self, line, close_tasks):
        self._line = line
        self._close_tasks = close_tasks

    async def send(self, text):
        await self._line.put(Text(text))

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exception):
        # Given up half-way, it goes on in its task.
        await asyncio.shield(self._close_tasks.spawn(self._line))


async def serve(name, line, wait):
    while True:
        message = await line.get()
        await asyncio.sleep(0.1)
        match message:
            case Text(text):
                print(f"server: {name} says {text}")
            case Goodbye(answer):
                print(f"server: {name} says goodbye")
                await asyncio.sleep(wait)
                # Perhaps nobody waits for it any more.
                if not answer.done():
                    answer.set_result(None)
                return


def connect(name, close_tasks, servers, wait):
    line = asyncio.Queue(1)
    servers.create_task(serve(name, line, wait))
    return Connection(line, close_tasks)


class TalkError(Exception):
    pass


async def talk(connection):
    async with connection:
        await connection.send("hello")
        await asyncio.sleep(0.2)
        raise TalkError("nothing more to say")


async def main():
    close_tasks = CloseTasks(0.4)
    moment = 0.15
    async with asyncio.TaskGroup() as servers:
        print("Closed:")
        async with connect("Ada", close_tasks, servers, 0.1) as ada:
            await ada.send("hello")
        print("Ada has closed")

        print("Left by an error:")
        try:
            await talk(connect("Ben", close_tasks, servers, 0.1))
        except TalkError as error:
            print(f"Ben failed: {error}")
        await asyncio.sleep(2 * moment)

        print("Left by a cancellation:")
        cid = asyncio.create_task(talk(connect("Cid", close_tasks, servers, 0.1)))
        await asyncio.sleep(moment)
        cid.cancel()
        await asyncio.wait([cid])
        if cid.cancelled():
            print("Cid was cancelled")
        await asyncio.sleep(2 * moment)

        print("A goodbye may take 0.4 s:")
        for name, wait in [("Dan", 0.22), ("Eve", 0.36)]:
            try:
                async with connect(name, close_tasks, servers, wait):
                    pass
                print(f"{name} has closed")
            except CloseError as error:
                print(f"{name}: {error}")

        print("Given up after 0.05 s, at the end of the program:")
        try:
            async with asyncio.timeout(0.05):
                async with connect("Fay", close_tasks, servers, 0.1):
                    pass
        except TimeoutError:
            print("Fay gave up")
        await close_tasks.wait()
        print("all close_tasks are over")


asyncio.run(main())
