import asyncio
import contextlib
import signal
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import run_together

HEAD = """
import asyncio, gc, logging, resource, signal, socket, sys

# A shell has it ignored in the background.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A child that misses its signal still ends, even without its parent.
signal.alarm(20)

def say(text):
    print(text, flush=True)

class Says(logging.Handler):
    def emit(self, record):
        say(record.getMessage().splitlines()[0])
"""

EXIT_IN_A_TASK = """
async def leave():
    sys.exit(3)

async def main():
    try:
        await asyncio.create_task(leave())
    finally:
        say("cleans up")

asyncio.run(main())
"""

EXIT_IN_A_CLEAN_UP = """
async def work():
    try:
        await asyncio.sleep(100)
    finally:
        sys.exit(4)

async def main():
    try:
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    finally:
        say("cleans up")

asyncio.run(main())
"""

RUN_FOREVER = """
loop = asyncio.new_event_loop()
loop.call_soon(say, "ready")
try:
    loop.run_forever()
except KeyboardInterrupt:
    say("cleans up")
    raise
"""

RUN = """
async def main():
    try:
        say("ready")
        while True:
            await asyncio.sleep(0)
    finally:
        say("cleans up")

asyncio.run(main())
"""

BLOCK_AFTER_THE_FIRST = """
async def main():
    try:
        say("ready")
        await asyncio.sleep(100)
    except asyncio.CancelledError:
        say("first")
        sys.stdin.read()
        say("goes on")
    finally:
        say("cleans up")

asyncio.run(main())
"""

ERROR_IN_THE_HANDLER = """
logging.getLogger("asyncio").addHandler(Says())

def handler(loop, context):
    raise LookupError("in the handler")

async def main():
    asyncio.get_running_loop().set_exception_handler(handler)
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await asyncio.sleep(0.01)
    say("goes on")

asyncio.run(main())
"""

# The limit is raised again when the server has logged.
ACCEPT = """
def hear(loop, context):
    say(context["message"])
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)

async def handle(reader, writer):
    writer.close()

async def main():
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(hear)
    client = socket.socket()
    client.setblocking(False)
    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        with open("/dev/null") as file:
            free = file.fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
        await loop.sock_connect(client, server.sockets[0].getsockname())
        await loop.sock_recv(client, 1)
        say("served")

limits = resource.getrlimit(resource.RLIMIT_NOFILE)
asyncio.run(main())
"""

# The loop keeps a transport that reads.
DROP_A_TRANSPORT = """
class Paused(asyncio.Protocol):
    def connection_made(self, transport):
        transport.pause_reading()

async def main():
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    await loop.create_connection(Paused, sock=ours)
    del ours
    gc.collect()
    waiting = loop.sock_recv(theirs, 1)
    try:
        await asyncio.wait_for(waiting, 10)
        say("the peer sees the end")
    except TimeoutError:
        say("the peer waits")

asyncio.run(main())
"""

# The system itself waits for a child whose signal is ignored.
REAPED_ELSEWHERE = """
async def main():
    PIPE = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec("cat", stdin=PIPE)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    process.stdin.close()
    say(await process.wait())

asyncio.run(main())
"""

REMOVE_A_HANDLER = """
async def main():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, print)
    loop.remove_signal_handler(signal.SIGTERM)
    say("ready")
    sys.stdin.read()
    say("goes on")

asyncio.run(main())
"""


async def child(program, *signals):
    """Runs the child, and sends it a signal after each of its first lines."""
    PIPE, DEVNULL = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HEAD + program, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
    )
    try:
        return await follow(process, signals)
    finally:
        if process.returncode is None:
            process.kill()


async def follow(process, signals):
    told = []
    for number in signals:
        told.append(await process.stdout.readline())
        process.send_signal(number)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), 0.5)
    process.stdin.close()
    async for line in process.stdout:
        told.append(line)
    code = await process.wait()
    told = [line.decode().strip() for line in told]
    told.append(f"exit code {code}" if code >= 0 else f"signal {-code}")
    return ", ".join(told)


def probes():
    interrupt = signal.SIGINT
    yield "loop.exit.finally", child(EXIT_IN_A_TASK)
    yield "task.cancel.exit-in-cleanup", child(EXIT_IN_A_CLEAN_UP)
    yield "loop.interrupt.run_forever", child(RUN_FOREVER, interrupt)
    yield "run.interrupt.cancels-main", child(RUN, interrupt)
    yield "run.interrupt.second", child(BLOCK_AFTER_THE_FIRST, interrupt, interrupt)
    yield "loop.exception_handler.own", child(ERROR_IN_THE_HANDLER)
    yield "server.accept.no-descriptors", child(ACCEPT)
    yield "transport.dropped.closes", child(DROP_A_TRANSPORT)
    yield "process.reaped.elsewhere", child(REAPED_ELSEWHERE)
    yield "signal.remove.restores-default", child(REMOVE_A_HANDLER, signal.SIGTERM)


run_together(probes, 3)
