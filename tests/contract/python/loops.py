import asyncio
import contextvars
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import now, run_together, settle, yes

name = contextvars.ContextVar("name", default="nobody")


def in_thread(function):
    """Runs it in a thread of its own, as it needs its own loop."""
    return asyncio.to_thread(function)


async def quiet():
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)


def refused(function):
    try:
        function()
        return "runs"
    except (RuntimeError, ValueError):
        return "is refused"


def close_and(function):
    loop = asyncio.new_event_loop()
    loop.close()
    return refused(lambda: function(loop))


# Callbacks and their delays.


async def call_later():
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    start = now()
    loop.call_later(0.05, done.set)
    await done.wait()
    return f"after 0.05 s: {yes(now() - start >= 0.049)}"


async def call_at_past():
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    loop.call_at(now() - 10, done.set)
    await done.wait()
    return "is called"


async def cancelled_twice():
    loop, called = asyncio.get_running_loop(), []
    handle = loop.call_later(0.02, called.append, 1)
    handle.cancel()
    handle.cancel()
    await asyncio.sleep(0.1)
    return f"called {len(called)} times"


async def when():
    handle = asyncio.get_running_loop().call_later(10, print)
    left = handle.when() - now()
    handle.cancel()
    return f"in 10 s: {yes(9 < left <= 10)}"


async def failing_callback():
    await quiet()
    loop, called = asyncio.get_running_loop(), []
    loop.call_soon(lambda: 1 / 0)
    loop.call_soon(called.append, 1)
    await settle()
    return f"the next one is called: {yes(called)}"


async def negative_delay():
    start, done = now(), asyncio.Event()
    asyncio.get_running_loop().call_later(-1.0, done.set)
    await done.wait()
    return f"returns immediately: {yes(now() - start < 5)}"


async def negative_difference():
    start = now()
    await asyncio.sleep(0.010 - 0.020)
    return f"returns immediately: {yes(now() - start < 5)}"


async def threadsafe():
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    threading.Timer(0.05, loop.call_soon_threadsafe, [done.set]).start()
    await done.wait()
    return "the loop wakes"


async def handle_of_closed():
    return await in_thread(lambda: close_and(lambda loop: loop.call_soon(print)))


# Running a loop.


async def run_returns():
    async def answer():
        return 42

    async def fail():
        raise KeyError("spam")

    def both():
        value = asyncio.run(answer())
        try:
            asyncio.run(fail())
        except KeyError as error:
            return f"{value}, {error.args[0]}"

    return await in_thread(both)


async def nested_run():
    async def main():
        coroutine = asyncio.sleep(0)
        try:
            return refused(lambda: asyncio.run(coroutine))
        finally:
            coroutine.close()

    return await in_thread(lambda: asyncio.run(main()))


async def closes_running():
    async def main():
        return refused(asyncio.get_running_loop().close)

    return await in_thread(lambda: asyncio.run(main()))


async def no_running_loop():
    return await in_thread(lambda: refused(asyncio.get_running_loop))


async def left_tasks():
    told = []

    async def work():
        try:
            await asyncio.sleep(10)
        finally:
            told.append("cleans up")
            await asyncio.sleep(0)
            told.append("awaits")

    async def main():
        asyncio.create_task(work())
        await settle()

    await in_thread(lambda: asyncio.run(main()))
    return ", ".join(told)


async def runner_keeps_context():
    async def change():
        before = name.get()
        name.set("alice")
        return before

    def twice():
        with asyncio.Runner() as runner:
            return f"{runner.run(change())}, {runner.run(change())}"

    return await in_thread(twice)


async def exit_in_task():
    async def leave():
        sys.exit(3)

    async def main():
        await quiet()
        asyncio.create_task(leave())
        await asyncio.sleep(0.05)
        return "main keeps running"

    def run():
        try:
            return asyncio.run(main())
        except SystemExit:
            return "run ends"

    return await in_thread(run)


async def several_runs():
    async def one():
        return 1

    def run():
        with asyncio.Runner() as runner:
            return runner.run(one()) + runner.run(one())

    return str(await in_thread(run))


async def stop_needs_running():
    loop = asyncio.new_event_loop()
    started = loop.create_task(asyncio.sleep(0, "done"))

    def run():
        loop.call_soon(loop.stop)
        loop.run_forever()
        return loop.run_until_complete(started)

    told = await in_thread(run)
    loop.close()
    return f"the loop runs again: {told}"


# Threads.


async def to_thread_returns():
    own = threading.get_ident()
    other = await asyncio.to_thread(threading.get_ident)
    return f"another thread: {yes(own != other)}"


async def to_thread_raises():
    try:
        await asyncio.to_thread(int, "x")
    except ValueError:
        return "the error arrives"


async def to_thread_lazy():
    called = []
    coroutine = asyncio.to_thread(called.append, 1)
    await asyncio.sleep(0.1)
    coroutine.close()
    return f"runs without an await: {yes(called)}"


async def to_thread_many():
    barrier = threading.Barrier(3)
    await asyncio.gather(*(asyncio.to_thread(barrier.wait) for _ in range(3)))
    return "three run at the same time"


async def to_thread_context():
    name.set("alice")
    return f"sees {await asyncio.to_thread(name.get)}"


async def queued_call(stop):
    """Whether a call runs that waits for a thread when its caller gives up."""
    loop, called = asyncio.get_running_loop(), []
    with ThreadPoolExecutor(1) as threads:
        first = loop.run_in_executor(threads, time.sleep, 0.5)
        second = loop.run_in_executor(threads, called.append, 1)
        await stop(second)
        await first
        await loop.run_in_executor(threads, time.sleep, 0)
    return f"runs: {yes(called)}"


async def time_out(future):
    try:
        await asyncio.wait_for(future, 0.05)
    except TimeoutError:
        pass


async def cancel(future):
    await asyncio.sleep(0.05)
    future.cancel()


async def shutdown_waits():
    done = []

    def work():
        time.sleep(0.1)
        done.append(1)

    async def main():
        for _ in range(3):
            asyncio.get_running_loop().run_in_executor(None, work)
        await settle()

    await in_thread(lambda: asyncio.run(main()))
    return f"{len(done)} of 3 calls have ended"


async def started_call_stays():
    done = threading.Event()

    def work():
        time.sleep(0.2)
        done.set()

    await time_out(asyncio.create_task(asyncio.to_thread(work)))
    await asyncio.to_thread(done.wait, 30)
    return f"ends its work: {yes(done.is_set())}"


# Contexts.


async def set_in_callee():
    async def callee():
        name.set("alice")

    await callee()
    return f"the caller sees {name.get()}"


async def copied_to_task():
    name.set("alice")

    async def child():
        return name.get()

    return f"the task sees {await asyncio.create_task(child())}"


async def set_in_task():
    name.set("alice")

    async def child():
        name.set("bob")

    await asyncio.create_task(child())
    return f"the parent sees {name.get()}"


async def two_tasks():
    async def work(own):
        name.set(own)
        await settle()
        return name.get()

    return " ".join(await asyncio.gather(work("alice"), work("bob")))


async def scope_ends():
    token = name.set("alice")
    inside = name.get()
    name.reset(token)
    return f"{inside} inside, {name.get()} after"


# Signals.


async def raised(number, count=1):
    """Raises signals while the loop is busy."""
    for _ in range(count):
        os.kill(os.getpid(), number)
    await asyncio.sleep(0.1)


async def signal_calls():
    called = []
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, called.append, 1)
    await raised(signal.SIGUSR1)
    return f"called: {yes(called)}"


async def signal_each():
    called = []
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR2, called.append, 1)
    await raised(signal.SIGUSR2, 5)
    return f"five signals, called {len(called)} times"


async def signal_two_handlers():
    called = []
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, called.append, 1)
    loop.add_signal_handler(signal.SIGHUP, called.append, 2)
    await raised(signal.SIGHUP)
    return f"{len(called)} of 2 handlers are called"


async def signal_refused():
    loop = asyncio.get_running_loop()
    return refused(lambda: loop.add_signal_handler(signal.SIGKILL, print))


async def signal_in_thread():
    async def main():
        loop = asyncio.get_running_loop()
        return refused(lambda: loop.add_signal_handler(signal.SIGWINCH, print))

    return await in_thread(lambda: asyncio.run(main()))


def probes():
    yield "loop.call_later.after-delay", call_later()
    yield "loop.call_at.past-is-now", call_at_past()
    yield "handle.cancel.twice", cancelled_twice()
    yield "timer_handle.when.tells", when()
    yield "loop.call_soon.failure-spares-next", failing_callback()
    for counterpart in ["", "@try_from_secs_f64"]:
        yield f"loop.call_later.negative-is-now{counterpart}", negative_delay()
    for counterpart in ["", "@saturating_sub", "@sleep_until"]:
        clause = f"sleep.negative-difference.returns{counterpart}"
        yield clause, negative_difference()
    yield "loop.call_soon_threadsafe.wakes", threadsafe()
    yield "loop.close.refuses-callbacks", handle_of_closed()
    yield "run.value-and-error", run_returns()
    yield "run.nested-refused", nested_run()
    yield "loop.close.running-refused", closes_running()
    yield "get_running_loop.none-refused", no_running_loop()
    yield "run.left-tasks-clean-up", left_tasks()
    yield "runner.run.keeps-context", runner_keeps_context()
    yield "runner.run.several", several_runs()
    yield "run.exit-in-task-ends-it", exit_in_task()
    yield "loop.stop.runs-again", stop_needs_running()
    yield "to_thread.another-thread", to_thread_returns()
    yield "to_thread.error-arrives", to_thread_raises()
    yield "to_thread.lazy", to_thread_lazy()
    yield "to_thread.many-together", to_thread_many()
    yield "to_thread.takes-context", to_thread_context()
    for counterpart in ["", "@BlockingPool"]:
        clause = f"run_in_executor.timeout-cancels-queued{counterpart}"
        yield clause, queued_call(time_out)
    yield "run_in_executor.cancelled-queued-never-runs@abort", queued_call(cancel)
    yield "run_in_executor.started-call-stays", started_call_stays()
    yield "run.waits-for-threads", shutdown_waits()
    yield "context.set-in-callee@RefCell", set_in_callee()
    yield "context.copied-to-task", copied_to_task()
    yield "context.copied-to-task@scope", copied_to_task()
    yield "context.set-in-task-stays-there@scope", set_in_task()
    yield "context.each-task-its-own@scope", two_tasks()
    yield "context.reset-at-end@scope", scope_ends()
    yield "signal.handler.called", signal_calls()
    yield "signal.handler.called-for-each", signal_each()
    yield "signal.handler.second-replaces-first", signal_two_handlers()
    yield "signal.handler.kill-refused", signal_refused()
    yield "signal.handler.main-thread-only", signal_in_thread()


run_together(probes, 3)
