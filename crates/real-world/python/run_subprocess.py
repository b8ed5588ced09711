import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import PIPE, STDOUT


def describe(status):
    if status < 0:
        return f"signal: {-status} ({signal.Signals(-status).name})"
    return f"exit status: {status}"


class TimedOut(Exception):
    def __init__(self, status):
        super().__init__(f"it took too long; {describe(status)}")


async def show_lines(name, pipe):
    async for line in pipe:
        print(f"{name}: {line.decode(errors='replace').rstrip()}")


async def feed(pipe, data):
    # A program that ends without reading all of it is no error.
    with contextlib.suppress(ConnectionError):
        pipe.write(data)
        await pipe.drain()
    pipe.close()


async def communicate(process, data):
    async with asyncio.TaskGroup() as group:
        group.create_task(show_lines("out", process.stdout))
        group.create_task(show_lines("err", process.stderr))
        group.create_task(feed(process.stdin, data))
    await process.wait()


def signal_group(process, number):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


async def run_to_end(*command, data=b"", limit=30, grace=30):
    pipes = {"stdin": PIPE, "stdout": PIPE, "stderr": PIPE}
    process = await asyncio.create_subprocess_exec(*command, **pipes, process_group=0)
    running = asyncio.create_task(communicate(process, data))
    try:
        await asyncio.wait([running], timeout=limit)
        if running.done():
            await running
            return process.returncode
        signal_group(process, signal.SIGTERM)
        await asyncio.wait([running], timeout=grace)
        if running.done():
            await running
        else:
            signal_group(process, signal.SIGKILL)
            # What left the group may hold the pipes still.
            await process.wait()
        raise TimedOut(process.returncode)
    finally:
        running.cancel()
        if process.returncode is None:
            signal_group(process, signal.SIGKILL)
            await process.wait()


def sh(script):
    return "sh", "-c", script


async def report(run):
    try:
        print(describe(await run))
    except FileNotFoundError:
        print("there is no such program")
    except TimedOut as error:
        print(error)


async def show_for_a_while(pipe):
    async with asyncio.timeout(30):
        await show_lines("out", pipe)
        print("the end of the output")


async def main():
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def part(number):
        await asyncio.sleep(start + 1.5 * number - loop.time())

    print("Lines as they come, and the exit status:")
    script = "(sleep 0.2; echo careful >&2) & echo one; sleep 0.4; echo two; exit 3"
    await report(run_to_end(*sh(script)))

    await part(1)
    print("A million bytes, and nobody reads before the program has ended:")
    command = sh("head -c 1000000 /dev/zero")
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    try:
        async with asyncio.timeout(0.2):
            await process.wait()
    except TimeoutError:
        print("the program is blocked: the pipe is full")
    output, _ = await process.communicate()
    print(f"{len(output)} bytes; {describe(process.returncode)}")

    print("Both outputs in one pipe, which keeps their order:")
    script = "echo one; echo careful >&2; echo two"
    process = await asyncio.create_subprocess_shell(script, stdout=PIPE, stderr=STDOUT)
    output, _ = await process.communicate()
    for line in output.decode().splitlines():
        print(f"out: {line}")
    print(describe(process.returncode))

    print("A program that does not exist:")
    await report(run_to_end("no-such-program"))

    await part(2)
    print("Input, and its end:")
    process = await asyncio.create_subprocess_exec("sort", stdin=PIPE, stdout=PIPE)
    process.stdin.write(b"pear\napple\n")
    await process.stdin.drain()
    try:
        async with asyncio.timeout(0.2):
            await process.stdout.readline()
    except TimeoutError:
        print("sort waits for more")
    process.stdin.close()
    await show_for_a_while(process.stdout)
    print(describe(await process.wait()))

    await part(3)
    print("Too slow, and it stops when it is asked to:")
    script = """trap 'echo saving; exit 0' TERM
                echo working; sleep 60 & wait"""
    await report(run_to_end(*sh(script), limit=1))

    await part(4)
    print("Too slow, and ignores SIGTERM:")
    script = "trap '' TERM; echo working; sleep 60"
    await report(run_to_end(*sh(script), limit=1, grace=0.2))

    script = "(echo a child of the child; sleep 1; echo its end) & wait"
    await part(5)
    print("Only the child is killed; its own child keeps running:")
    process = await asyncio.create_subprocess_exec(*sh(script), stdout=PIPE)
    print(f"out: {(await process.stdout.readline()).decode().rstrip()}")
    process.kill()
    await show_for_a_while(process.stdout)
    await process.wait()

    await part(6)
    print("Killed as a group:")
    process = await asyncio.create_subprocess_exec(
        *sh(script), stdout=PIPE, process_group=0
    )
    print(f"out: {(await process.stdout.readline()).decode().rstrip()}")
    signal_group(process, signal.SIGKILL)
    await show_for_a_while(process.stdout)
    await process.wait()


asyncio.run(main())
