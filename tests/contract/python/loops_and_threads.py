import asyncio
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import now, run_together, yes

# A callback waits for another one for so long, in vain.
WHILE = 0.1


async def alone(probe):
    """In a loop of its own. Among other timers in its heap, equal ones change places."""
    return await asyncio.to_thread(asyncio.run, probe())


# Order.


async def overlap(schedule):
    begun, told = threading.Event(), asyncio.get_running_loop().create_future()
    schedule(lambda: told.set_result(begun.wait(WHILE)))
    schedule(begun.set)
    return f"the second begins before the first ends: {yes(await told)}"


async def soon():
    return await overlap(asyncio.get_running_loop().call_soon)


async def at_the_same_time():
    when = now() + 0.05
    return await overlap(lambda call: asyncio.get_running_loop().call_at(when, call))


async def cancels_the_second():
    loop, begun, when = asyncio.get_running_loop(), threading.Event(), now() + 0.05

    def first():
        begun.wait(WHILE)
        second.cancel()

    loop.call_at(when, first)
    second = loop.call_at(when, begun.set)
    await asyncio.sleep(0.3)
    return f"the cancelled one runs: {yes(begun.is_set())}"


async def cancel_unstarted():
    begun = threading.Event()

    async def work():
        begun.set()

    task = asyncio.create_task(work())
    begun.wait(WHILE)
    task.cancel()
    await asyncio.wait([task])
    return f"it has run: {yes(begun.is_set())}"


# What belongs to a loop.


async def refused(*calls):
    """Makes the calls one after the other, in a thread of its own."""
    try:
        for call in calls:
            await asyncio.to_thread(call)
        return "runs"
    except (RuntimeError, ValueError):
        return "is refused"


async def lock_of_another():
    lock = asyncio.Lock()

    async def use():
        await lock.acquire()
        waiter = asyncio.create_task(lock.acquire())
        await asyncio.sleep(0)
        lock.release()
        await waiter
        lock.release()

    return await refused(lambda: asyncio.run(use()), lambda: asyncio.run(use()))


async def future_of_another():
    loop = asyncio.new_event_loop()
    future = loop.create_future()
    loop.close()

    async def wait():
        await future

    return await refused(lambda: asyncio.run(wait()))


async def no_task():
    async def wait():
        async with asyncio.timeout(1):
            pass

    def drive():
        try:
            wait().send(None)
        except RuntimeError:
            told.set_result("is refused")

    told = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(drive)
    return await told


async def from_another_thread():
    async def main():
        loop = asyncio.get_running_loop()
        loop.set_debug(True)
        told = await refused(lambda: loop.call_soon(print))
        loop.set_debug(False)
        return told

    return await alone(main)


async def without_a_loop():
    async def work():
        pass

    coroutine = work()
    try:
        return await refused(lambda: next(asyncio.as_completed([coroutine])))
    finally:
        coroutine.close()


async def stopped():
    def run():
        loop = asyncio.new_event_loop()
        loop.call_soon(loop.stop)
        try:
            loop.run_until_complete(loop.create_future())
        finally:
            loop.close()

    return await refused(run)


async def no_coroutine():
    def run():
        with asyncio.Runner() as runner:
            future = runner.get_loop().create_future()
            future.set_result(None)
            runner.run(future)

    return await refused(run)


# Threads of the pool.


async def own_pool():
    async def main():
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1, "my-pool"))
        name = await asyncio.to_thread(lambda: threading.current_thread().name)
        return f"a thread of {name.removesuffix('_0')}"

    return await alone(main)


async def shut_down_the_pool():
    async def main():
        loop, done = asyncio.get_running_loop(), threading.Event()
        loop.run_in_executor(None, lambda: (time.sleep(0.05), done.set()))
        await loop.shutdown_default_executor()
        assert done.is_set()
        await asyncio.sleep(0)
        return "the call has ended, the loop keeps running"

    return await alone(main)


# Time.


async def short_sleeps(delay):
    best = 30
    for _ in range(5):
        start = now()
        for _ in range(100):
            await asyncio.sleep(delay)
        best = min(best, now() - start)
    return f"a hundred take over 50 ms: {yes(best > 0.05)}"


def probes():
    yield "loop.call_soon.in-order", soon()
    yield "loop.call_at.equal-in-order", alone(at_the_same_time)
    yield "handle.cancel.due-at-the-same-time", alone(cancels_the_second)
    yield "task.cancel.unstarted-never-runs@threads", cancel_unstarted()
    yield "condition.loop.other-refused", lock_of_another()
    yield "task.await.other-loop-refused", future_of_another()
    yield "timeout.task.is-needed", no_task()
    yield "loop.debug.checks-thread", from_another_thread()
    yield "as_completed.loop.needed", without_a_loop()
    yield "loop.stop.before-end", stopped()
    yield "loop.stop.ends-run", stopped()
    yield "runner.run.coroutine-only", no_coroutine()
    yield "loop.executor.own", own_pool()
    yield "loop.shutdown_default_executor.keeps-loop", shut_down_the_pool()
    yield "sleep-zero.no-timer", short_sleeps(0)
    yield "sleep.small.no-busy-loop", short_sleeps(0.0001)


run_together(probes, 3)
