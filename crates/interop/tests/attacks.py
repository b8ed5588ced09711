"""What the modules of Rust have to survive: `attacks.py LOOP NAME`, each in a process.

Prints nothing if all is well.
"""

import asyncio
import gc
import multiprocessing
import os
import sys
import threading

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
        await many(5_000)
        before = resident()
        await many(20_000)
        grown = resident() - before
        assert grown < 4_000_000, grown  # 200 bytes for each await

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
        try:
            make(0)
        except ValueError:
            continue
        raise AssertionError("no ValueError")


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
    async def main():
        for ms in range(10):
            runtime_at_exit_rs.delayed(1, ms)  # nobody awaits it

    for _ in range(20):
        run(main())


if __name__ == "__main__":
    globals()[sys.argv[2]]()
