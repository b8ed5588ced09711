import asyncio
import contextvars
import os
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import run_together, settle, yes

name = contextvars.ContextVar("name", default="nothing")


async def work():
    return 7


async def as_completed_yields():
    tasks = [asyncio.create_task(work())]
    async for ended in asyncio.as_completed(tasks):
        return f"yields the task: {yes(ended is tasks[0])}"


async def records():
    reader = asyncio.StreamReader()
    reader.feed_data(b"one||two--three||")
    separators = (b"||", b"--")
    told = [(await reader.readuntil(separators))[:-2].decode() for _ in range(3)]
    return ", ".join(told)


async def end_of_iteration():
    future = asyncio.get_running_loop().create_future()
    future.set_exception(StopIteration("the end"))
    return f"raises {type(future.exception()).__name__}"


async def abort_clients():
    MUCH = 20_000_000

    async def handle(reader, writer):
        writer.write(b"x" * MUCH)
        await writer.drain()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    reader, writer = await asyncio.open_connection(*address, limit=100)
    await settle()
    server.close()
    server.abort_clients()
    await server.wait_closed()
    data = await reader.read()
    writer.close()
    return f"a part arrives, and the end: {yes(len(data) < MUCH)}"


async def socket_file():
    async def handle(reader, writer):
        pass

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/socket"
        server = await asyncio.start_unix_server(handle, path, cleanup_socket=False)
        server.close()
        return f"the file is there: {yes(os.path.exists(path))}"


async def takes_back():
    task = asyncio.create_task(work())
    task.cancel()
    task.uncancel()
    return f"returns {await task}"


async def has_its_context():
    name.set("outer")
    task = asyncio.create_task(work())
    await task
    return f"the context has {task.get_context()[name]}"


# Eager tasks.


def eagerly(body):
    """Runs it in a loop whose tasks are eager."""

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.create_eager_task_factory(asyncio.Task))
        return await body()

    return asyncio.to_thread(asyncio.run, main())


async def created():
    return f"done without an await: {yes(asyncio.create_task(work()).done())}"


async def listed():
    async def first_step():
        return asyncio.current_task() in asyncio.all_tasks()

    return f"all_tasks has it: {yes(await asyncio.create_task(first_step()))}"


async def group():
    async with asyncio.TaskGroup() as group:
        child = group.create_task(work())
        done = child.done()
    return f"done within the body: {yes(done)}"


def probes():
    yield "as_completed.tasks.same-objects", as_completed_yields()
    yield "stream.readuntil.several-long", records()
    yield "future.exception.stop-iteration", end_of_iteration()
    yield "server.abort_clients.drops-buffers", abort_clients()
    yield "unix.server.cleanup-option", socket_file()
    yield "task.uncancel.takes-back", takes_back()
    yield "task.get_context", has_its_context()
    yield "eager.factory.for-the-loop", eagerly(created)
    yield "eager.all_tasks.has-it", eagerly(listed)
    yield "task_group.eager", eagerly(group)


run_together(probes, 1)
