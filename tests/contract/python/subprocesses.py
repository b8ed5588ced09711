import asyncio
import gc
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import now, run_together, settle, yes

MUCH = 1_000_000
# A line that is too long, and many that are not.
LONG_LINE = """head -c 70000 /dev/zero | tr '\\0' x; echo; echo next
yes $(printf %0999d 0) | head -c 1000000"""


async def sh(script, **options):
    return await asyncio.create_subprocess_shell(script, **options)


async def output(script, **options):
    child = await sh(script, stdout=PIPE, **options)
    out, _ = await child.communicate()
    return out.decode().strip()


def alive(pid):
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def end(child):
    """The exit code, or the signal that ended it."""
    code = child.returncode
    return f"signal {-code}" if code < 0 else f"code {code}"


# Start and end.


async def communicate():
    child = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
    out, _ = await child.communicate(b"hello")
    return f"{out.decode()}, {end(child)}"


async def communicate_nothing():
    child = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
    out, _ = await child.communicate()
    return f"{len(out)} bytes, {end(child)}"


async def communicate_gone():
    child = await sh("exit 0", stdin=PIPE)
    try:
        await child.communicate(b"x" * MUCH)
        return f"ends with {end(child)}"
    except BrokenPipeError:
        return "broken pipe"


async def stdin_gone():
    child = await sh("exit 0", stdin=PIPE)
    for _ in range(100):
        try:
            child.stdin.write(b"x" * 100_000)
            await child.stdin.drain()
        except OSError:
            await child.wait()
            return "fails after a few writes"
        await settle()
    return "never fails"


async def shell():
    child = await sh("exit 7")
    await child.wait()
    return end(child)


async def returncode_killed():
    child = await asyncio.create_subprocess_exec("sleep", "60")
    child.kill()
    await child.wait()
    return f"the code is {child.returncode}"


async def terminated():
    child = await asyncio.create_subprocess_exec("sleep", "60")
    child.terminate()
    await child.wait()
    return end(child)


async def killed_after_end():
    child = await sh("exit 3")
    await child.wait()
    try:
        child.kill()
        return "is ignored"
    except ProcessLookupError:
        return "fails"


async def signalled_before_wait():
    child = await sh("exit 3")
    while alive(child.pid):
        await asyncio.sleep(0.01)
    try:
        child.send_signal(signal.SIGTERM)
    except ProcessLookupError:
        pass
    await child.wait()
    return end(child)


async def killed_shell():
    child = await sh("sleep 1.5; true", stdout=PIPE)
    await asyncio.sleep(0.1)
    child.kill()
    start = now()
    await child.communicate()
    return f"the output ends with the shell: {yes(now() - start < 0.3)}"


async def cancelled_wait():
    child = await asyncio.create_subprocess_exec("sleep", "60")
    try:
        await asyncio.wait_for(child.wait(), 0.05)
    except TimeoutError:
        pass
    child.kill()
    await child.wait()
    return end(child)


async def waits_after_end():
    child = await sh("exit 4")
    codes = [str(await child.wait()) for _ in range(3)]
    return ", ".join(codes)




async def ten_children():
    outs = await asyncio.gather(*(output(f"echo {number}") for number in range(10)))
    return " ".join(outs)


async def no_program():
    try:
        await asyncio.create_subprocess_exec("/no/such/program", stdin=PIPE)
        return "starts"
    except FileNotFoundError:
        return "not found"


async def forgotten():
    """Whether a child lives on that its run has not waited for."""

    async def start():
        return (await asyncio.create_subprocess_exec("sleep", "5")).pid

    def run():
        pid = asyncio.run(start())
        # What is left of the run is collected, and a killed child needs a moment.
        for _ in range(50):
            if alive(pid):
                gc.collect()
                time.sleep(0.01)
        return pid

    pid = await asyncio.to_thread(run)
    lives = alive(pid)
    if lives:
        os.kill(pid, signal.SIGKILL)
    return f"lives on: {yes(lives)}"


async def timed_out():
    child = await sh("sleep 1; echo done", stdout=PIPE)
    try:
        await asyncio.wait_for(child.communicate(), 0.1)
    except TimeoutError:
        pass
    lives = alive(child.pid)
    await child.wait()
    return f"lives on: {yes(lives)}"


# Pipes.


async def full_pipe():
    child = await sh(f"head -c {MUCH} /dev/zero", stdout=PIPE)
    try:
        await asyncio.wait_for(asyncio.shield(child.wait()), 0.3)
        before = "ends"
    except TimeoutError:
        before = "still waits"
    count = len(await child.stdout.read())
    await child.wait()
    return f"wait {before}, then {count} bytes"


async def open_stdin():
    child = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=DEVNULL)
    try:
        await asyncio.wait_for(child.wait(), 0.3)
        return "wait returns"
    except TimeoutError:
        child.kill()
        await child.wait()
        return "wait still waits"


async def long_line():
    child = await sh(LONG_LINE, stdout=PIPE)
    told = []
    while True:
        try:
            line = await child.stdout.readline()
        except ValueError:
            told.append("too long")
            continue
        if not line:
            break
        # The rest of the long line may come as a line.
        if line == b"next\n":
            told.append("next")
    await child.wait()
    return f"{', '.join(told)}, {end(child)}"


async def read_after_end():
    child = await sh("head -c 60000 /dev/zero; exit 1", stdout=PIPE)
    await child.wait()
    count = len(await child.stdout.read())
    return f"{count} bytes, {end(child)}"


async def devnull_input():
    return f"{len(await output('cat', stdin=DEVNULL))} bytes"


async def devnull_output():
    child = await sh("echo hello", stdout=DEVNULL)
    out, _ = await child.communicate()
    return "no output" if out is None else f"{len(out)} bytes"


async def dev_stdin():
    child = await sh("cat /dev/stdin", stdin=PIPE, stdout=PIPE)
    out, _ = await child.communicate(b"hello")
    return out.decode()


async def inherited_stdin():
    child = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
    other = await asyncio.create_subprocess_exec("sleep", "5")
    out, _ = await child.communicate(b"hello")
    other.kill()
    await other.wait()
    return out.decode()


async def merged():
    text = await output("echo one; echo two >&2; echo three", stderr=STDOUT)
    return text.replace("\n", " ")


async def inherited_output():
    child = await sh("true")
    await child.wait()
    return f"a pipe: {yes(child.stdout is not None)}"


class Events(asyncio.SubprocessProtocol):
    def __init__(self):
        self.seen, self.done = [], asyncio.Event()

    def pipe_data_received(self, fd, data):
        self.seen.append(f"{fd}: {data.decode()}")

    def pipe_connection_lost(self, fd, exc):
        if fd != 0:
            self.seen.append(f"{fd} ends")

    def process_exited(self):
        self.seen.append("exit")

    def connection_lost(self, exc):
        self.done.set()


async def protocol():
    loop = asyncio.get_running_loop()
    script = "printf out; printf err >&2"
    _, events = await loop.subprocess_shell(Events, script)
    await events.done.wait()
    return ", ".join(sorted(events.seen))


# What the child inherits.

async def env():
    script = "echo $CONTRACT, HOME is ${HOME:-not there}"
    told = await output(script, env={"CONTRACT": "given"})
    return told.replace(os.environ["HOME"], "the parent's")


async def own_session():
    """Whether the child leads its own session."""
    script = "cut -d ' ' -f 1,6 /proc/$$/stat"
    pid, session = (await output(script, start_new_session=True)).split()
    return f"its own session: {yes(pid == session)}"


def probes():
    yield "process.communicate.input-and-output", communicate()
    yield "process.communicate.closes-stdin", communicate_nothing()
    for counterpart in ["", "@run_to_end"]:
        clause = f"process.communicate.ignores-broken-pipe{counterpart}"
        yield clause, communicate_gone()
    yield "process.stdin.write-fails-if-child-is-gone", stdin_gone()
    yield "process.shell.exit-code", shell()
    yield "process.returncode.minus-signal", returncode_killed()
    yield "process.terminate.ends@Group", terminated()
    yield "process.kill.after-end", killed_after_end()
    yield "process.send_signal.before-wait@Group", signalled_before_wait()
    yield "process.kill.shell-with-child", killed_shell()
    yield "process.wait.cancelled-can-be-repeated", cancelled_wait()
    yield "process.wait.again-after-end", waits_after_end()
    yield "process.start.ten-together", ten_children()
    yield "process.start.no-program", no_program()
    for counterpart in ["", "@kill_on_drop"]:
        yield f"process.forgotten.is-killed{counterpart}", forgotten()
    yield "process.communicate.timeout-leaves-child", timed_out()
    yield "process.wait.full-pipe-waits", full_pipe()
    yield "process.wait.open-stdin-waits", open_stdin()
    for counterpart in ["", "@skip-one-None"]:
        yield f"process.stdout.goes-on-after-long-line{counterpart}", long_line()
    yield "process.stdout.read-after-end", read_after_end()
    yield "process.stdin.devnull", devnull_input()
    yield "process.stdout.devnull-is-none", devnull_output()
    yield "process.stdin.dev-stdin", dev_stdin()
    yield "process.stdin.not-inherited-by-others", inherited_stdin()
    yield "process.stderr.merged-in-order@spawn_merged", merged()
    yield "process.stdout.inherited-by-default", inherited_output()
    yield "subprocess_protocol.each-event-once", protocol()
    for counterpart in ["", "@env_clear"]:
        yield f"process.env.replaces{counterpart}", env()
    for counterpart in ["", "@setsid"]:
        yield f"process.start_new_session.leads-session{counterpart}", own_session()


run_together(probes, 4)
