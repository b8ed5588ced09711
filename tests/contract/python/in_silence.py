import asyncio
import contextlib
import gc
import sys
import threading
import warnings
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import run, settle


class Learns:
    """Notes what the loop is told of tasks, futures and handlers."""

    def __init__(self):
        self.log = []
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(self.hear)

    def hear(self, loop, context):
        error = context.get("exception")
        self.log.append(context["message"] + (f" {error!r}" if error else ""))

    async def learnt(self):
        gc.collect()
        await settle()
        self.loop.set_exception_handler(None)
        return ", ".join(self.log) or "nothing"


async def fail():
    raise LookupError("an error")


# Tasks and futures.


async def wait():
    await asyncio.get_running_loop().create_future()


async def forgotten(function):
    """What the loop is told of a task that nobody keeps."""
    learns = Learns()
    task = asyncio.create_task(function())
    await settle()
    del task
    return await learns.learnt()


async def future_error():
    learns = Learns()
    future = learns.loop.create_future()
    future.set_exception(LookupError("an error"))
    del future
    return await learns.learnt()


async def never_awaited():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        coroutine = fail()
        del coroutine
        gc.collect()
    return ", ".join(str(warning.message) for warning in caught)


async def exit_of_a_task():
    """In a loop of its own, as the program would end."""
    told = []

    async def leave():
        raise SystemExit(3)

    async def main():
        # What it is told of the end is not asked here.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        task = asyncio.create_task(leave())
        await asyncio.sleep(0)
        await task
        told.append("main goes on")

    def in_a_thread():
        try:
            asyncio.run(main())
        except SystemExit as error:
            told.append(f"the loop is left, exit code {error.code}")

    thread = threading.Thread(target=in_a_thread)
    thread.start()
    thread.join()
    return ", ".join(told)


# Groups.


async def cancelled_group(clean_up):
    """Cancels a group whose child has this clean-up, and returns the group's task."""

    async def child():
        try:
            await asyncio.sleep(0.1)
        finally:
            await clean_up()

    async def parent():
        async with asyncio.TaskGroup() as group:
            group.create_task(child())

    task = asyncio.create_task(parent())
    await settle()
    task.cancel()
    await asyncio.wait([task])
    return task


async def group_waits():
    log = []

    async def clean_up():
        log.append("the clean-up begins")
        await asyncio.sleep(0.02)
        log.append("the clean-up has ended")

    await cancelled_group(clean_up)
    return ", ".join(log)


async def group_cleanup_fails():
    task = await cancelled_group(fail)
    if task.cancelled():
        return "cancelled: true"
    return repr(task.exception().exceptions[0])


# Generators.


async def rows(log):
    try:
        yield 1
        yield 2
    finally:
        log.append("closing")
        await asyncio.sleep(0.02)
        log.append("closed")


async def aclosing():
    log = []
    async with contextlib.aclosing(rows(log)) as generator:
        await anext(generator)
    log.append("left")
    return ", ".join(log)


async def aclose():
    log = []
    generator = rows(log)
    await anext(generator)
    await generator.aclose()
    log.append("left")
    return ", ".join(log)


async def generator_left():
    """Nobody closes the generator. The loop does, when it is garbage."""
    log = []

    async def first():
        async for _ in rows(log):
            break

    await first()
    gc.collect()
    log.append("left")
    await asyncio.sleep(0.05)
    return ", ".join(log)


# Streams and servers.


async def partial():
    reader = asyncio.StreamReader()
    reader.feed_data(b"abc")
    reader.feed_eof()
    try:
        await reader.readexactly(10)
    except asyncio.IncompleteReadError as error:
        return error.partial.decode()


async def handler_error():
    learns = Learns()

    async def handle(reader, writer):
        try:
            await fail()
        finally:
            writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        address = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(*address)
        await reader.read(1)
        writer.close()
    return await learns.learnt()


def probes():
    yield "task.destroyed.logged", forgotten(wait)
    yield "task.error.logged", forgotten(fail)
    yield "task.error.logged@panic", forgotten(fail)
    yield "loop.exception_handler.task", forgotten(fail)
    yield "future.log.unretrieved", future_error()
    yield "coroutine.never-awaited", never_awaited()
    yield "loop.exit.callback", exit_of_a_task()
    yield "task_group.cancel.waits-for-children", group_waits()
    yield "task_group.cleanup.error-replaces", group_cleanup_fails()
    yield "aclosing.finally-may-await", aclosing()
    yield "generator.aclose.finally-may-await", aclose()
    yield "loop.asyncgens.closed", generator_left()
    yield "stream.readexactly.error-has-part", partial()
    yield "stream.handler.error-is-reported", handler_error()


run(probes, 5)
