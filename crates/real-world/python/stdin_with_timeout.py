import asyncio
import contextlib
import os
import sys
import threading
from asyncio.subprocess import DEVNULL, PIPE


async def lines_of_stdin():
    """Lines that a thread of its own reads, for which the program does not wait.

    Nothing limits how far it is ahead.
    """
    loop = asyncio.get_running_loop()
    lines = asyncio.Queue()

    def read():
        # At the end of the program nobody may hold the lock of sys.stdin.
        with (
            contextlib.suppress(OSError),
            open(0, errors="replace", closefd=False) as stdin,
        ):
            for line in stdin:
                loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, "")

    threading.Thread(target=read, daemon=True).start()
    return lines.get


async def read_anew():
    """The trap: nothing stops the thread that reads."""
    return await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


def say(text):
    print(text, file=sys.stderr, flush=True)


async def ask(read_line):
    by_hand = sys.stdin.isatty()
    limit = 5 if by_hand else 0.2
    for question, seconds in (("name", None), ("colour", limit), ("animal", limit)):
        if by_hand:
            say(f"{question}?")
        try:
            async with asyncio.timeout(seconds):
                line = await read_line()
        except TimeoutError:
            say(f"{question}: no answer in time")
        else:
            say(f"{question}: {line.rstrip() if line else 'the input has ended'}")


class Program:
    """This program once more, with a pipe for its input."""

    async def start(self, way):
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, __file__, way, stdin=PIPE, stdout=DEVNULL, stderr=PIPE
        )
        self.answers = asyncio.create_task(self.show_answers())
        return self

    async def show_answers(self):
        async for line in self.process.stderr:
            print(line.decode().rstrip())

    def enter(self, line):
        print(f"> {line}")
        self.process.stdin.write(f"{line}\n".encode())

    def look(self):
        ended = self.process.returncode is not None
        print("the program has ended" if ended else "the program has not ended")


async def main():
    match sys.argv[1:]:
        case ["anew"]:
            await ask(read_anew)
        case ["leave"]:
            await ask(read_anew)
            os._exit(0)
        case ["thread"]:
            await ask(await lines_of_stdin())
        case _:
            await show_all()


async def show_all():
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def at(tenths):
        await asyncio.sleep(start + tenths / 10 - loop.time())

    anew = await Program().start("anew")
    leave = await Program().start("leave")
    thread = await Program().start("thread")

    await at(10)
    print("A reader for each question, and 0.2 s for an answer:")
    anew.enter("Ada")
    await at(13)
    anew.enter("cat")
    await at(16)
    anew.look()
    print("> the end of the input")
    anew.process.stdin.close()
    await at(18)
    anew.look()

    await at(20)
    print("The same, without waiting at the end:")
    leave.enter("Ada")
    await at(23)
    leave.enter("cat")
    await at(26)
    leave.look()

    await at(30)
    print("A thread and a channel:")
    thread.enter("Ada")
    await at(33)
    thread.enter("cat")
    await at(36)
    thread.look()


asyncio.run(main())
