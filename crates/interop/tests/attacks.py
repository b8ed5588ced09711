"""What the modules of Rust have to survive: `attacks.py LOOP NAME`, each in a process.

Prints nothing if all is well.
"""

import asyncio
import gc
import io
import multiprocessing
import os
import socket
import sys
import threading
import time
import weakref
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader

import call_python_rs
import callback_rs
import cancel_rs
import cpu_bound_rs
import queue_between_rs
import runtime_at_exit_rs
import shared_client_rs


def run(main):
    if sys.argv[1] == "uvloop":
        import uvloop

        return uvloop.run(main)
    return asyncio.run(main)


async def crossing():
    """Awaits Rust, which does nothing."""
    await shared_client_rs.Client("127.0.0.1", 1, 1).aclose()


def resident():
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def memory_stays_flat():
    async def many(number):
        for _ in range(number // 100):
            await asyncio.gather(*[crossing() for _ in range(100)])
            for _ in range(1000):
                cpu_bound_rs.count_primes_here(2)

    async def main():
        # 200 bytes for each await, and 20 where there are a million.
        is_full = os.environ.get("ATTACKS") == "full"
        first, more, most = (200_000, 800_000, 16e6) if is_full else (5_000, 20_000, 4e6)
        await many(first)
        before = resident()
        await many(more)
        grown = resident() - before
        assert grown < most, grown

    run(main())


def five_thousand_at_the_same_time():
    async def main():
        calls = [runtime_at_exit_rs.delayed(n, 50) for n in range(5000)]
        assert await asyncio.gather(*calls) == list(range(5000))
        threads = len(os.listdir("/proc/self/task"))
        assert threads <= 520 + os.cpu_count(), threads

    run(main())


def cancelled_at_each_millisecond():
    async def main():
        async def caller(name):
            await cancel_rs.work(name, 20)

        for ms in range(31):
            task = asyncio.create_task(caller(f"{ms}"))
            await asyncio.sleep(ms / 1000)
            task.cancel()
            await asyncio.wait([task])
            while not (notes := cancel_rs.notes()):
                await asyncio.sleep(0.001)
            # A task that is cancelled while its result is on the way was done in Rust.
            done, cancelled = [f"{ms} done"], [f"{ms} cancelled"]
            assert notes == done or task.cancelled() and notes == cancelled, notes

    run(main())


def eight_threads_with_eight_loops():
    results = []

    async def main():
        calls = [runtime_at_exit_rs.delayed(n, n % 7) for n in range(200)]
        results.append(await asyncio.gather(*calls) == list(range(200)))

    threads = [threading.Thread(target=run, args=(main(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 8, results


def a_thread_of_python_runs_at_the_end():
    # The interpreter waits for it before it runs what `atexit` has registered.
    async def main():
        calls = map(runtime_at_exit_rs.delayed, range(20), range(20))
        assert await asyncio.gather(*calls) == list(range(20))

    threading.Timer(0.05, run, (main(),)).start()
    run(main())


def zero_is_refused():
    for make in (queue_between_rs.Squares, lambda n: shared_client_rs.Client("a", 1, n)):
        assert raised(ValueError, make, 0)


def numbers_that_do_not_fit_are_refused():
    squares = queue_between_rs.Squares(1)
    for number in (-1, 2**32):
        assert raised(OverflowError, squares.put, number)


def raised(kind, function, *arguments):
    try:
        function(*arguments)
    except kind:
        return True
    return False


class Refuses:
    """Makes no coroutine. `alive` has those that nobody has dropped."""

    alive = weakref.WeakSet()

    def __init__(self):
        self.alive.add(self)

    def __call__(self):
        raise ConnectionError


def objects_that_workers_drop_are_freed():
    async def drop(is_cancelled):
        async def caller():
            # The Rust future has the object when its timer ends, or when it is cancelled.
            await call_python_rs.retry(Refuses(), 1000 if is_cancelled else 2)

        tasks = [asyncio.create_task(caller()) for _ in range(100)]
        await asyncio.sleep(0.005)
        for task in tasks:
            if is_cancelled:
                task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        kind = asyncio.CancelledError if is_cancelled else ConnectionError
        assert {type(it) for it in ended} == {kind}, ended

    async def main():
        await asyncio.gather(*[callback_rs.watch(0, Refuses()) for _ in range(100)])
        await drop(is_cancelled=False)
        await drop(is_cancelled=True)
        for _ in range(1000):  # each crossing frees what was dropped without the GIL
            gc.collect()
            await crossing()
        assert not Refuses.alive, len(Refuses.alive)

    run(main())


def panics_become_exceptions():
    # The library has the modules of all examples.
    loader = ExtensionFileLoader("tests_rs", cancel_rs.__file__)
    tests_rs = module_from_spec(spec_from_loader("tests_rs", loader))
    loader.exec_module(tests_rs)

    async def main():
        for _ in range(10):
            try:
                tests_rs.panics_in_a_call()
            except BaseException as error:
                assert not isinstance(error, Exception)
                assert (type(error).__name__, str(error)) == ("PanicException", "in a call")
            futures = [tests_rs.panics_in_a_future(), tests_rs.panics_in_a_task()]
            future, task = await asyncio.gather(*futures, return_exceptions=True)
            assert type(future).__name__ == "RustPanic", future
            assert str(future) == "rust future panicked: unknown error", future
            assert type(task) is RuntimeError and "in a task" in str(task), task
        await crossing()

    run(main())


async def ask(port, word):
    client = shared_client_rs.Client("127.0.0.1", port, 2)
    answers = await asyncio.gather(*[client.ask(f"{word}{n}") for n in range(5)])
    await client.aclose()
    assert answers == [f"{word.upper()}{n}" for n in range(5)], answers


def ask_in_child(port):
    run(ask(port, "child"))
    return os.getpid()


async def answer(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
    writer.close()


def processes(method, is_used_before):
    async def main():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        if is_used_before:
            await ask(port, "before")
        with multiprocessing.get_context(method).Pool(2) as pool:
            called = pool.map_async(ask_in_child, [port] * 4)
            while not called.ready():
                await asyncio.sleep(0.01)
            assert os.getpid() not in called.get()
            pool.close()
            await asyncio.to_thread(pool.join)
        await ask(port, "after")
        server.close()

    run(main())


def fork_before_the_first_call():
    processes("fork", False)


def fork_after_the_first_call():
    processes("fork", True)


def spawn_after_the_first_call():
    processes("spawn", True)


def a_loop_closes_under_a_pending_future():
    # The trap of `runtime_at_exit`. The first futures may end before their loop, the last
    # one cannot: its answer is sent when the loop is closed.
    server = socket.create_server(("127.0.0.1", 0))
    client = shared_client_rs.Client(*server.getsockname(), 1)

    async def main():
        for ms in range(10):
            runtime_at_exit_rs.delayed(1, ms)  # nobody awaits it
        client.ask("a")

    sys.stderr = shown = io.StringIO()
    for _ in range(20):
        run(main())
    peer, _ = server.accept()
    with server, peer:
        peer.sendall(b"A\n")
        while "Event loop is closed" not in shown.getvalue():
            time.sleep(0.001)


if __name__ == "__main__":
    globals()[sys.argv[2]]()
