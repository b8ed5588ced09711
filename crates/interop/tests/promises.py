"""What the pages of the examples say: `promises.py LOOP NAME`, each in a process.

Prints nothing if all is well.
"""

import asyncio
import atexit
import contextlib
import logging
import sys
import time
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader

import async_iterator_rs
import call_python_rs
import cancel_rs
import cpu_bound_rs
import log_and_trace_rs
import queue_between_rs
import runtime_at_exit_rs
import shared_client_rs
import shutdown_rs
from attacks import raised, run


def raised_text(kind, function, *arguments):
    try:
        function(*arguments)
    except kind as error:
        return str(error)
    return "nothing is raised"


def async_function_starts_the_work_at_the_call():
    async def main():
        future = cancel_rs.work("early", 1)
        while not (notes := cancel_rs.notes()):
            await asyncio.sleep(0.001)
        assert notes == ["early done"], notes
        await future

    run(main())


def async_function_returns_a_future_that_create_task_refuses():
    words = "a coroutine was expected, got <Future"

    async def main():
        future = runtime_at_exit_rs.delayed(1, 1)
        text = raised_text(TypeError, asyncio.create_task, future)
        assert text.startswith(words), text
        async with asyncio.TaskGroup() as group:
            text = raised_text(TypeError, group.create_task, future)
            assert text.startswith(words), text
        assert await future == 1

    run(main())


def async_function_fails_without_a_running_event_loop():
    def call():
        return raised_text(RuntimeError, runtime_at_exit_rs.delayed, 1, 1)

    async def main():
        return await asyncio.to_thread(call)

    for text in (call(), run(main())):
        assert text == "no running event loop", text


def async_iterator_is_at_most_ahead_rows_ahead():
    async def main():
        rows = async_iterator_rs.Rows(1000, 3)
        assert await anext(rows) == 0
        await asyncio.sleep(0.5)  # time for fifty rows
        start = time.monotonic()
        for row in range(1, 21):
            assert await anext(rows) == row
        # Three were in the channel, and one was ready: the others take 10 ms each.
        took = time.monotonic() - start
        assert took > 0.14, took
        await rows.aclose()

    run(main())


def async_iterator_stays_open_after_a_break():
    async def main():
        rows = async_iterator_rs.Rows(1000, 1)
        async for row in rows:
            break
        assert (row, await anext(rows)) == (0, 1)
        async with contextlib.aclosing(rows):
            async for row in rows:
                break
        assert row == 2
        assert [row async for row in rows] == []

    run(main())


def async_iterator_total_closes_after_an_error():
    class Failing:
        closed = False

        async def __anext__(self):
            raise ValueError("torn")

        async def aclose(self):
            self.closed = True

    async def main():
        rows = Failing()
        try:
            await async_iterator_rs.total(rows, 10)
        except ValueError as error:
            assert str(error) == "torn"
        else:
            raise AssertionError("no error")
        assert rows.closed

    run(main())


def call_python_pauses_ten_ms_more_each_time():
    async def main():
        times = []

        async def refuse():
            times.append(time.monotonic())
            raise ConnectionError(f"refused {len(times)}")

        try:
            await call_python_rs.retry(refuse, 5)
        except ConnectionError as error:
            assert str(error) == "refused 5", error
        assert len(times) == 5
        pauses = [later - earlier for earlier, later in zip(times, times[1:])]
        late = [pause - 0.01 * (n + 1) for n, pause in enumerate(pauses)]
        assert min(late) > -0.002, pauses

    run(main())


def call_python_leaves_the_coroutine_of_a_dropped_future_running():
    async def main():
        started, ended = asyncio.Event(), asyncio.Event()

        async def slow():
            started.set()
            await asyncio.sleep(0.1)
            ended.set()

        async def caller():
            await call_python_rs.retry(slow, 1)

        task = asyncio.create_task(caller())
        await started.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() and not ended.is_set()
        await asyncio.wait_for(ended.wait(), 60)

    run(main())


def call_python_finds_no_event_loop_in_a_task_of_tokio():
    loader = ExtensionFileLoader("tests_rs", cancel_rs.__file__)
    tests_rs = module_from_spec(spec_from_loader("tests_rs", loader))
    loader.exec_module(tests_rs)

    async def main():
        return await tests_rs.looks_for_the_event_loop_in_a_task()

    text = run(main())
    assert text == "RuntimeError: no running event loop", text


def cpu_bound_leaves_the_event_loop_free():
    async def main():
        here = asyncio.to_thread(cpu_bound_rs.count_primes_here, 300_000)
        for counting in (cpu_bound_rs.count_primes(300_000), here):
            task, ticks = asyncio.ensure_future(counting), 0
            while not task.done():
                await asyncio.sleep(0.001)
                ticks += 1
            assert await task == 25997
            assert ticks > 10, ticks

    run(main())


def cpu_bound_delays_the_exit_by_two_seconds_when_it_is_cancelled():
    exit_begins = None

    # Registered before the runtime registers its end, so it is called after that.
    @atexit.register
    def check():
        took = time.monotonic() - exit_begins
        if not 1.9 < took < 30:
            print(f"the exit took {took} s")

    async def main():
        async def count():
            await cpu_bound_rs.count_primes(10**12)

        task = asyncio.create_task(count())
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    run(main())
    exit_begins = time.monotonic()


def log_and_trace_does_not_notice_a_level_that_changes_later():
    records = []

    class Keeps(logging.Handler):
        def emit(self, record):
            records.append(record.getMessage())

    logger = logging.getLogger("fetch")
    logger.addHandler(Keeps())

    async def fetch(name):
        await log_and_trace_rs.fetch(name)

    logger.setLevel(logging.ERROR)
    run(fetch("a"))
    logger.setLevel(logging.DEBUG)
    run(fetch("b"))
    assert records == [], records
    logger.warning("from Python")
    assert records == ["from Python"]


def queue_between_puts_nothing_when_put_is_cancelled():
    async def main():
        async def put(number):
            await squares.put(number)

        squares = queue_between_rs.Squares(1)
        for number in (2, 3, 4):
            await put(number)
        waits = asyncio.create_task(put(5))
        await asyncio.sleep(0.1)
        assert not waits.done()
        waits.cancel()
        await asyncio.wait([waits])
        squares.close()
        assert raised(RuntimeError, squares.put, 6)
        assert [square async for square in squares] == [4, 9, 16]

    run(main())


def shared_client_takes_no_line_of_more_than_64_kib():
    async def serve(reader, writer):
        # The client has not read the end of the line that is too long: a reset.
        with contextlib.suppress(ConnectionResetError):
            while line := await reader.readline():
                writer.write(b"x" * int(line) + b"\n")
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        client = shared_client_rs.Client(*server.sockets[0].getsockname(), 1)
        longest = 64 * 1024 - 1  # and the end of the line
        assert len(await client.ask(f"{longest}")) == longest
        try:
            await client.ask(f"{longest + 1}")
        except ConnectionError as error:
            assert str(error) == "no whole line", error
        else:
            raise AssertionError("no error")
        # On another connection, or this would be the rest of the line.
        assert await client.ask("3") == "xxx"
        await client.aclose()
        server.close()

    run(main())


def shared_client_closes_a_connection_in_use_after_its_answer():
    asked, go_on, closed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def serve(reader, writer):
        line = await reader.readline()
        asked.set()
        await go_on.wait()
        writer.write(line.upper())
        assert await reader.read() == b""
        closed.set()
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        client = shared_client_rs.Client(*server.sockets[0].getsockname(), 1)
        answer = asyncio.ensure_future(client.ask("a"))
        await asked.wait()
        await client.aclose()
        assert not closed.is_set()
        go_on.set()
        assert await answer == "A"
        await asyncio.wait_for(closed.wait(), 60)
        server.close()

    run(main())


def shutdown_waits_up_to_its_limit():
    async def main():
        for _ in range(3):
            shutdown_rs.start()
        # A save takes 100 ms.
        assert await shutdown_rs.stop(0) < 3
        assert await shutdown_rs.stop(60) == 3

    run(main())


if __name__ == "__main__":
    globals()[sys.argv[2]]()
