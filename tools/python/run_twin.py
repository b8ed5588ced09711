"""Runs an asyncio program and prints its transcript, as the Rust examples do.

    python3 tools/python/run_twin.py crates/iterators/python/generator.py
    python3 tools/python/run_twin.py --tsv --real-time TWIN.py

Every line that the program prints gets the seconds since its start in front.  The
clock is virtual unless --real-time is given: when no task can proceed, the event
loop does not wait for the next timer but moves its clock there.  With --tsv a line is
seconds, task name and text, separated by tabs, between "# NAME" and "# end SECONDS WALL",
where WALL is how many seconds it took by the machine's clock.

What cannot be timed is refused: the process ends with exit code 64, whatever the twin does.

Works on CPython 3.11 and later, with the standard library alone.
"""

import argparse
import asyncio
import builtins
import concurrent.futures
import gc
import math
import os
import runpy
import selectors
import sys
import threading
import time

NANOSECOND = 1e-9

# The machine's clock, even after the virtual one has taken its place.
read_wall = time.monotonic

# How far apart two deadlines may be and still fire in the same pass of the loop.  On
# the real loop this is the resolution of the clock plus the time that a pass takes; on
# the virtual one it has to cover the nanoseconds by which readings of the clock differ.
RESOLUTION = 1e-4


class RealClock:
    """Seconds by the machine's clock, from the first reading on.

    The first reading is made when the program makes its event loop, or prints: what it
    imports takes time that is not its own, nor is that of a collection of what the imports
    have left.
    """

    def __init__(self):
        self._start = None

    def read(self):
        if self._start is None:
            gc.collect()
            self._start = time.monotonic()
        return time.monotonic() - self._start


class VirtualClock:
    """Seconds since the program's start, moved by the event loop and by time.sleep alone.

    Each reading is a nanosecond later than the one before, so that of two equal delays
    the one that was asked for first has the earlier deadline, as on a real clock.
    """

    def __init__(self):
        self._now = 0.0
        self._lock = threading.Lock()

    def read(self):
        with self._lock:
            self._now += NANOSECOND
            return self._now

    def move(self, seconds):
        with self._lock:
            self._now += seconds

    def install(self):
        """Makes the readings of the time module those of this clock."""
        for name in ("time", "monotonic", "perf_counter"):
            setattr(time, name, self.read)
            setattr(time, name + "_ns", lambda: int(self.read() / NANOSECOND))

        sleep = time.sleep

        def sleep_on_this_clock(seconds):
            # What blocks the loop's thread holds up every task for as long.  A thread of
            # an executor sleeps by the machine's clock, while this one holds still.
            if threading.current_thread() is threading.main_thread():
                self.move(seconds)
            else:
                sleep(seconds)

        time.sleep = sleep_on_this_clock


class VirtualSelector(selectors.DefaultSelector):
    """Moves the clock where the real selector would wait for a timer."""

    def __init__(self, clock):
        super().__init__()
        self._clock = clock
        self.working = 0  # calls that executors have not finished

    def select(self, timeout=None):
        if self.working:
            # The clock holds still: what the executor does takes no virtual time.  The
            # loop's own pipe ends the wait when a call has finished.
            return super().select(timeout if timeout == 0 else None)
        events = super().select(0)
        if events or timeout == 0:
            return events
        if timeout is None:
            raise RuntimeError("deadlock: every task waits and no timer is set")
        # As the loop of Linux and of Windows waits: for whole milliseconds, rounded up.
        self._clock.move(math.ceil(max(timeout, 0) * 1e3) * 1e-3)
        return events


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """An event loop whose waits take no time."""

    def __init__(self, clock):
        self._clock = clock
        self._virtual_selector = VirtualSelector(clock)
        self._executor = None
        super().__init__(self._virtual_selector)
        self._clock_resolution = RESOLUTION

    def time(self):
        return self._clock.read()

    def set_default_executor(self, executor):
        super().set_default_executor(executor)
        self._executor = executor

    def run_in_executor(self, executor, func, *args):
        # The call counts as work until the function has returned, even when nobody
        # waits for it any longer: the base class would tell only of the waiting.
        if executor is None:
            if self._executor is None:
                self.set_default_executor(concurrent.futures.ThreadPoolExecutor())
            executor = self._executor
        self._virtual_selector.working += 1
        call = executor.submit(func, *args)
        future = asyncio.wrap_future(call, loop=self)
        # Added last and so called last: the result is on its way to the loop before the
        # clock may move again.
        call.add_done_callback(self._work_ended)
        return future

    async def shutdown_default_executor(self, *args, **kwargs):
        # This waits for threads too, from Python 3.12 on with a timer next to it.
        self._virtual_selector.working += 1
        try:
            await super().shutdown_default_executor(*args, **kwargs)
        finally:
            self._virtual_selector.working -= 1

    def _work_ended(self, _call):
        try:
            self.call_soon_threadsafe(self._count_work_ended)
        except RuntimeError:
            pass  # the loop was closed before the call ended; nobody reads the clock

    def _count_work_ended(self):
        self._virtual_selector.working -= 1


def stamped_print(clock, tsv):
    """Returns a print() that writes each line with its time before it."""
    lock = threading.Lock()
    original = builtins.print

    def stamped(*values, sep=" ", end="\n", file=None, flush=False):
        if file is not None and file is not sys.stdout:
            original(*values, sep=sep, end=end, file=file, flush=flush)
            return
        if end != "\n":
            refuse("a twin prints whole lines: print(..., end=...) is not timed")
        text = (" " if sep is None else sep).join(map(str, values))
        with lock:
            now = seconds(clock.read())
            task = task_name() if tsv else None
            for line in text.split("\n"):
                if tsv:
                    original(now, task, line, sep="\t")
                elif line:
                    original(f"{now:>7}  {line}")
                else:
                    original(f"{now:>7}")

    return stamped


def refuse(problem):
    """Ends the process by an exit code that no exception of the twin has."""
    sys.stdout.flush()
    sys.stderr.write(f"run_twin.py: {problem}\n")
    sys.stderr.flush()
    os._exit(64)


def seconds(now):
    """Three decimals, rounded down.

    The tenth of a microsecond makes up for sums of floats that end a little below the
    value that they stand for.
    """
    millis = int((now + 1e-7) * 1000)
    return f"{millis // 1000}.{millis % 1000:03}"


def task_name():
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return task.get_name() if task else "-"


def main():
    parser = argparse.ArgumentParser(
        description="Run an asyncio program and print its transcript."
    )
    parser.add_argument(
        "--real-time", action="store_true", help="wait, instead of moving a virtual clock"
    )
    parser.add_argument(
        "--tsv", action="store_true", help="seconds, task and text, separated by tabs"
    )
    parser.add_argument("twin", help="the program to run")
    options = parser.parse_args()
    if not os.path.isfile(options.twin):
        parser.error(f"there is no file {options.twin}")

    sys.stdout.reconfigure(encoding="utf-8", line_buffering=True)
    write = builtins.print
    if options.real_time:
        clock = RealClock()
        new_real_loop = asyncio.new_event_loop

        def new_event_loop():
            clock.read()
            return new_real_loop()

    else:
        clock = VirtualClock()
        clock.install()

        def new_event_loop():
            return VirtualClockLoop(clock)

    asyncio.events.new_event_loop = asyncio.new_event_loop = new_event_loop
    builtins.print = stamped_print(clock, options.tsv)

    if options.tsv:
        write("#", os.path.splitext(os.path.basename(options.twin))[0])
    sys.argv = [options.twin]
    wall = read_wall()
    try:
        runpy.run_path(options.twin, run_name="__main__")
    finally:
        # The interpreter would wait for these only after the end was told.
        for thread in threading.enumerate():
            if thread is not threading.main_thread() and not thread.daemon:
                thread.join()
        if options.tsv:
            write("# end", seconds(clock.read()), seconds(read_wall() - wall))


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        # The reader of the pipe has seen enough; nothing is left to flush to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
