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
    limit = 5 if by_hand else 0.5
    for question, seconds in (("name", None), ("colour", limit), ("animal", 3 * limit)):
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
        return self

    async def until(self, question):
        """Prints the answers to this question and those before it."""
        async for line in self.process.stderr:
            print(line.decode().rstrip())
            if line.startswith(question.encode()):
                break

    def enter(self, line):
        print(f"> {line}")
        self.process.stdin.write(f"{line}\n".encode())

    async def until_it_ends(self):
        await self.process.wait()
        print("the program has ended")


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

    async def at(seconds):
        await asyncio.sleep(start + seconds - loop.time())

    anew = await Program().start("anew")
    leave = await Program().start("leave")
    thread = await Program().start("thread")

    # They start meanwhile.
    await at(1)
    print("A reader for each question, and 0.5 s for the second answer:")
    anew.enter("Ada")
    await anew.until("colour")
    anew.enter("cat")
    await anew.until("animal")
    if anew.process.returncode is None:
        print("the program has not ended")
    print("> the end of the input")
    anew.process.stdin.close()
    await anew.until_it_ends()

    await at(3.5)
    print("The same, without waiting at the end:")
    leave.enter("Ada")
    await leave.until("colour")
    leave.enter("cat")
    await leave.until("animal")
    await leave.until_it_ends()

    await at(6)
    print("A thread and a channel:")
    thread.enter("Ada")
    await thread.until("colour")
    thread.enter("cat")
    await thread.until("animal")
    await thread.until_it_ends()


asyncio.run(main())
