import asyncio
import copy
import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import run_together


async def work():
    pass


async def raises(probe):
    """Returns the name of the error that a coroutine, or a function, raises."""
    try:
        value = probe() if callable(probe) else await probe
        return f"returns {value}"
    except Exception as error:
        return f"raises {type(error).__name__}"


def awaiting(value):
    async def wait():
        await value

    return raises(wait())


def in_a_loop_of_its_own(function):
    """Calls it with a loop that does not run, in a thread of its own."""

    def call():
        loop = asyncio.new_event_loop()
        try:
            return function(loop)
        finally:
            loop.close()

    return raises(asyncio.to_thread(call))


# Awaitables.


async def no_iterator():
    async for _ in [1]:
        pass


async def create_task_of_a_number():
    asyncio.create_task(1)


# Arguments.


async def call_soon_number():
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    try:
        loop.call_soon(1)
    finally:
        loop.set_debug(False)


async def timers_compare():
    loop = asyncio.get_running_loop()
    first, second = loop.call_later(10, print), loop.call_later(20, print)
    first.cancel()
    second.cancel()
    return f"the earlier one is less: {first < second}"


async def connected(use):
    """Uses one end of a connection."""
    ours, theirs = socket.socketpair()
    with theirs:
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            return await use(writer)
        finally:
            writer.close()


async def write_text(writer):
    writer.write("text")


async def reader_of_a_transport(writer):
    loop = asyncio.get_running_loop()
    loop.add_reader(writer.get_extra_info("socket"), print)


async def two_drain(writer):
    writer.write(b"x")
    await asyncio.gather(writer.drain(), writer.drain())
    return "both"


# Twice.


async def passed_twice(pass_both):
    runs = []

    async def body():
        runs.append(1)
        return "a"

    told = await pass_both(body())
    return f"{told}, runs {len(runs)} times"


async def gathered(coroutine):
    return " ".join(await asyncio.gather(coroutine, coroutine))


async def as_completed(coroutine):
    return " ".join([await it for it in asyncio.as_completed([coroutine, coroutine])])


async def waited(coroutine):
    task = asyncio.create_task(coroutine)
    done, _ = await asyncio.wait([task, task])
    return f"{len(done)} task"


async def await_twice():
    coroutine = work()
    await coroutine
    await coroutine


async def copy_coroutine():
    coroutine = work()
    try:
        copy.copy(coroutine)
    finally:
        coroutine.close()


async def close_generator_twice():
    async def items():
        yield 1

    generator = items()
    await anext(generator)
    await generator.aclose()
    await generator.aclose()


async def enter_twice(manager):
    async with manager:
        pass
    async with manager:
        pass


async def callbacks_of_a_task():
    log = []
    task = asyncio.create_task(asyncio.sleep(0, "a value"))
    task.add_done_callback(lambda _: log.append("first"))
    task.add_done_callback(lambda _: log.append("second"))
    value = await task
    return f"{', '.join(log)}, {value}"


async def set_twice():
    future = asyncio.get_running_loop().create_future()
    future.set_result(1)
    future.set_result(2)


async def remove_twice():
    loop = asyncio.get_running_loop()
    ours, theirs = os.pipe()
    loop.add_reader(ours, print)
    told = loop.remove_reader(ours), loop.remove_reader(ours)
    os.close(ours)
    os.close(theirs)
    return told


async def send_after_close():
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, ("127.0.0.1", 0)
    )
    address = transport.get_extra_info("sockname")
    transport.close()
    transport.sendto(b"x", address)


async def two_wait():
    process = await asyncio.create_subprocess_exec("true")
    return await asyncio.gather(process.wait(), process.wait())


def closed_runner(_):
    runner = asyncio.Runner()
    runner.get_loop()
    runner.close()
    runner.get_loop()


async def cancel_returns(future):
    first = future.cancel()
    await asyncio.wait([future])
    return f"{first}, and {future.cancel()} at its end"


async def datagram_without_address():
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(asyncio.DatagramProtocol)


async def add_reader_of_text():
    asyncio.get_running_loop().add_reader("text", print)


async def without_a_loop():
    """In a thread that has never had a loop."""
    with ThreadPoolExecutor(1) as threads:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(threads, asyncio.StreamReader)


def probes():
    loop = asyncio.get_running_loop()
    yield "semaphore.await.refused", awaiting(asyncio.Semaphore())
    yield "barrier.await.refused", awaiting(asyncio.Barrier(1))
    yield "ensure_future.neither-refused", raises(lambda: asyncio.ensure_future(1))
    yield "create_task.args.no-coroutine-refused", raises(create_task_of_a_number())
    yield "gather.args.wrong-refused", raises(lambda: asyncio.gather(1))
    as_completed_of = lambda: list(asyncio.as_completed(1))
    yield "as_completed.args.wrong-refused", raises(as_completed_of)
    yield "coroutine.await.refused", awaiting(1)
    run_number = lambda loop: loop.run_until_complete(1)
    yield "loop.run.only-awaitables", in_a_loop_of_its_own(run_number)
    yield "for.no-iterator", raises(no_iterator())
    yield "iterator.arguments-refused", raises(lambda: aiter(1))
    yield "queue.maxsize.takes-float", raises(lambda: asyncio.Queue(1.5).maxsize)
    yield "semaphore.value.negative-refused", raises(lambda: asyncio.Semaphore(-1))
    yield "barrier.parties.negative-refused", raises(lambda: asyncio.Barrier(-1))
    yield "stream.limit.zero-refused", raises(lambda: asyncio.StreamReader(limit=0))
    reader = asyncio.StreamReader()
    yield "stream.readuntil.empty-separator", raises(reader.readuntil(b""))
    yield "transport.write.text-refused", raises(connected(write_text))
    yield "add_reader.no-descriptor", raises(add_reader_of_text())
    yield "datagram.arguments.refused", raises(datagram_without_address())
    yield "loop.call_soon.arguments", raises(call_soon_number())
    yield "timer_handle.compares", timers_compare()
    yield "gather.duplicates.run-once", passed_twice(gathered)
    yield "as_completed.duplicates.count-once", passed_twice(as_completed)
    yield "coroutine.await.twice", raises(await_twice())
    yield "coroutine.copied", raises(copy_coroutine())
    yield "generator.aclose.twice", raises(close_generator_twice())
    yield "timeout.block.entered-once", raises(enter_twice(asyncio.timeout(1)))
    yield "wait.duplicates.count-once", passed_twice(waited)
    yield "future.add_done_callback.of-a-task", callbacks_of_a_task()
    yield "task_group.enter.once", raises(enter_twice(asyncio.TaskGroup()))
    yield "lock.release.not-acquired-refused", raises(asyncio.Lock().release)
    yield "bounded_semaphore.release.refused", raises(asyncio.BoundedSemaphore().release)
    yield "future.set_result.twice-refused", raises(set_twice())
    yield "remove_reader.twice", raises(remove_twice())
    yield "add_reader.of-a-transport", raises(connected(reader_of_a_transport))
    yield "stream.drain.many-tasks", raises(connected(two_drain))
    yield "datagram.sendto.after-close", raises(send_after_close())
    yield "process.wait.many-tasks", raises(two_wait())
    yield "loop.close.twice", in_a_loop_of_its_own(lambda loop: loop.close())
    yield "runner.close.refuses", in_a_loop_of_its_own(closed_runner)
    sleeping = asyncio.create_task(asyncio.sleep(9))
    yield "task.cancel.returns-bool", cancel_returns(sleeping)
    yield "future.cancel.returns-bool", cancel_returns(loop.create_future())
    yield "stream.reader.needs-loop", raises(without_a_loop())


run_together(probes, 1)
