"""Provokes each of Python's messages in docs/messages.tsv, and prints what was printed.

Standard output gets a line of JSON for each message: the message and the text, which is
null where this CPython does not have the message.  Each program runs in a process of its
own, forked from this one, which has imported asyncio.
"""

import ast
import asyncio
import gc
import json
import os
import re
import signal
import sys
import textwrap
import traceback

# By their words in docs/messages.tsv: `...` stands for what differs from case to case.
# A program whose first line is `# since 3.13` or `# until 3.13` runs only there. One that
# awaits outside of its functions runs in an event loop.
PROGRAMS = {
    "RuntimeWarning: coroutine '...' was never awaited": """
        asyncio.sleep(1)
    """,
    "RuntimeError: Event loop is closed": """
        loop = asyncio.new_event_loop()
        loop.close()
        loop.call_soon(print)
    """,
    "RuntimeError: no running event loop": """
        asyncio.create_task(asyncio.sleep(0))
    """,
    "RuntimeError: There is no current event loop in thread '...'.": """
        import threading
        thread = threading.Thread(target=asyncio.get_event_loop)
        thread.start()
        thread.join()
    """,
    "RuntimeError: asyncio.run() cannot be called from a running event loop": """
        async def main():
            asyncio.run(asyncio.sleep(0))
        asyncio.run(main())
    """,
    "RuntimeError: This event loop is already running": """
        async def main():
            loop = asyncio.get_running_loop()
            loop.run_until_complete(loop.create_future())
        asyncio.run(main())
    """,
    "RuntimeError: Cannot run the event loop while another loop is running": """
        async def main():
            loop = asyncio.new_event_loop()
            loop.run_until_complete(loop.create_future())
        asyncio.run(main())
    """,
    "RuntimeError: Event loop stopped before Future completed.": """
        asyncio.get_running_loop().stop()
        await asyncio.sleep(1)
    """,
    "RuntimeError: Task ... got Future ... attached to a different loop": """
        future = asyncio.new_event_loop().create_future()
        await future
    """,
    "RuntimeError: ... is bound to a different event loop": """
        event = asyncio.Event()
        async def main():
            await asyncio.wait_for(event.wait(), 0.01)
        for turn in range(2):
            try:
                asyncio.run(main())
            except TimeoutError:
                pass
    """,
    "RuntimeError: Non-thread-safe operation invoked on an event loop other than the current one": """
        async def main():
            loop = asyncio.get_running_loop()
            await asyncio.to_thread(loop.call_soon, print)
        asyncio.run(main(), debug=True)
    """,
    "Task was destroyed but it is pending!": """
        loop = asyncio.new_event_loop()
        task = loop.create_task(asyncio.sleep(1))
        loop.run_until_complete(asyncio.sleep(0))
        del task
        loop.close()
    """,
    "Task exception was never retrieved": """
        asyncio.create_task(asyncio.sleep("text"))
        await asyncio.sleep(0.01)
    """,
    "Future exception was never retrieved": """
        asyncio.new_event_loop().create_future().set_exception(ValueError())
    """,
    "_GatheringFuture exception was never retrieved": """
        asyncio.gather(asyncio.sleep("text"))
        await asyncio.sleep(0.01)
    """,
    "asyncio.exceptions.CancelledError": """
        asyncio.current_task().cancel()
        await asyncio.sleep(1)
    """,
    "asyncio.exceptions.InvalidStateError: invalid state": """
        future = asyncio.new_event_loop().create_future()
        future.set_result(1)
        future.set_result(2)
    """,
    "InvalidStateError: Result is not set.": """
        asyncio.new_event_loop().create_future().result()
    """,
    "asyncio.exceptions.InvalidStateError: Exception is not set.": """
        asyncio.new_event_loop().create_future().exception()
    """,
    "asyncio.exceptions.IncompleteReadError: ... bytes read on a total of ... expected bytes": """
        reader = asyncio.StreamReader()
        reader.feed_data(b"abc")
        reader.feed_eof()
        await reader.readexactly(4)
    """,
    "asyncio.exceptions.LimitOverrunError: Separator is not found, and chunk exceed the limit": """
        reader = asyncio.StreamReader(limit=2)
        reader.feed_data(b"abc")
        await reader.readuntil()
    """,
    "ValueError: Separator is not found, and chunk exceed the limit": """
        reader = asyncio.StreamReader(limit=2)
        reader.feed_data(b"abc")
        await reader.readline()
    """,
    "called while another coroutine is already waiting for incoming data": """
        reader = asyncio.StreamReader()
        await asyncio.gather(reader.read(1), reader.read(1))
    """,
    "asyncio.queues.QueueEmpty": """
        asyncio.Queue().get_nowait()
    """,
    "asyncio.queues.QueueFull": """
        queue = asyncio.Queue(1)
        queue.put_nowait(1)
        queue.put_nowait(2)
    """,
    "asyncio.queues.QueueShutDown": """
        # since 3.13
        queue = asyncio.Queue()
        queue.shutdown()
        queue.put_nowait(1)
    """,
    "ValueError: task_done() called too many times": """
        asyncio.Queue().task_done()
    """,
    "RuntimeError: Lock is not acquired.": """
        asyncio.Lock().release()
    """,
    "ValueError: BoundedSemaphore released too many times": """
        asyncio.BoundedSemaphore().release()
    """,
    "RuntimeError: cannot notify on un-acquired lock": """
        asyncio.Condition().notify()
    """,
    "RuntimeError: cannot wait on un-acquired lock": """
        asyncio.run(asyncio.Condition().wait())
    """,
    "asyncio.exceptions.BrokenBarrierError": """
        barrier = asyncio.Barrier(2)
        await barrier.abort()
        await barrier.wait()
    """,
    "TimeoutError": """
        asyncio.run(asyncio.wait_for(asyncio.sleep(1), 0.01))
    """,
    "ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)": """
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep("text"))
    """,
    "RuntimeError: TaskGroup ... has not been entered": """
        async def main():
            asyncio.TaskGroup().create_task(asyncio.sleep(0))
        asyncio.run(main())
    """,
    "RuntimeError: TaskGroup ... is finished": """
        async with asyncio.TaskGroup() as group:
            pass
        group.create_task(asyncio.sleep(0))
    """,
    "RuntimeError: Timeout should be used inside a task": """
        async def main():
            async with asyncio.timeout(1):
                pass
        # A callback runs in the loop, but in no task.
        loop = asyncio.new_event_loop()
        loop.call_soon(main().send, None)
        loop.call_later(0.01, loop.stop)
        loop.run_forever()
    """,
    "RuntimeError: cannot reuse already awaited coroutine": """
        coroutine = asyncio.sleep(0)
        await coroutine
        await coroutine
    """,
    "RuntimeError: coroutine is being awaited already": """
        coroutine = asyncio.sleep(1)
        asyncio.create_task(coroutine)
        await asyncio.sleep(0)
        await coroutine
    """,
    "RuntimeError: coroutine ignored GeneratorExit": """
        async def stubborn():
            try:
                await asyncio.sleep(1)
            finally:
                await asyncio.sleep(1)
        async def main():
            coroutine = stubborn()
            coroutine.send(None)
            coroutine.close()
        asyncio.run(main())
    """,
    "RuntimeError: async generator ignored GeneratorExit": """
        async def stubborn():
            try:
                yield 1
            finally:
                yield 2
        generator = stubborn()
        await anext(generator)
        await generator.aclose()
    """,
    "RuntimeError: anext(): asynchronous generator is already running": """
        async def slow():
            await asyncio.sleep(0.01)
            yield
        generator = slow()
        await asyncio.gather(anext(generator), anext(generator))
    """,
    "RuntimeError: async generator raised StopAsyncIteration": """
        async def numbers():
            raise StopAsyncIteration
            yield
        await anext(numbers())
    """,
    "StopIteration interacts badly with generators and cannot be raised into a Future": """
        asyncio.new_event_loop().create_future().set_exception(StopIteration())
    """,
    "TypeError: object ... can't be used in 'await' expression": """
        # until 3.13
        await 1
    """,
    "TypeError: 'async for' requires an object with __aiter__ method, got": """
        async for number in [1, 2]:
            pass
    """,
    "TypeError: 'async_generator' object is not iterable": """
        async def numbers():
            yield 1
        list(numbers())
    """,
    "TypeError: 'coroutine' object is not iterable": """
        list(asyncio.sleep(0))
    """,
    "TypeError: 'coroutine' object is not subscriptable": """
        asyncio.sleep(0)["key"]
    """,
    "AttributeError: 'coroutine' object has no attribute '...'": """
        asyncio.sleep(0).text
    """,
    "TypeError: Object of type coroutine is not JSON serializable": """
        json.dumps(asyncio.sleep(0))
    """,
    "ValueError: a coroutine was expected, got": """
        # until 3.13
        asyncio.run(asyncio.sleep)
    """,
    "TypeError: A coroutine object is required": """
        asyncio.run_coroutine_threadsafe(asyncio.sleep, asyncio.new_event_loop())
    """,
    "TypeError: An asyncio.Future, a coroutine or an awaitable is required": """
        await asyncio.gather(1)
    """,
    "TypeError: Passing coroutines is forbidden, use tasks explicitly.": """
        asyncio.run(asyncio.wait([asyncio.sleep(0)]))
    """,
    "ValueError: Set of Tasks/Futures is empty.": """
        asyncio.run(asyncio.wait([]))
    """,
    "TypeError: '...' object does not support the asynchronous context manager protocol": """
        async with open(os.devnull):
            pass
    """,
    "TypeError: '...' object does not support the context manager protocol": """
        with asyncio.Lock():
            pass
    """,
    "SyntaxError: 'await' outside async function": """
        def main():
            await asyncio.sleep(0)
    """,
    "SyntaxError: 'async with' outside async function": """
        def main():
            async with lock:
                pass
    """,
    "SyntaxError: 'async for' outside async function": """
        def main():
            async for item in items:
                pass
    """,
    "SyntaxError: asynchronous comprehension outside of an asynchronous function": """
        def main():
            return [item async for item in items]
    """,
    "SyntaxError: 'yield from' inside async function": """
        async def main():
            yield from items
    """,
    "SyntaxError: 'return' with value in async generator": """
        async def main():
            yield 1
            return 2
    """,
    "Executing ... took ... seconds": """
        import time
        async def main():
            time.sleep(0.15)
        asyncio.run(main(), debug=True)
    """,
    "RuntimeError: can't start new thread": """
        import resource, threading
        # More than the address space.
        threading.stack_size(1 << 46)
        threading.Thread(target=print).start()
    """,
    "RuntimeError: Executor shutdown has been called": """
        loop = asyncio.get_running_loop()
        await loop.shutdown_default_executor()
        await asyncio.to_thread(print)
    """,
    "RuntimeError: cannot schedule new futures after shutdown": """
        import concurrent.futures
        with concurrent.futures.ThreadPoolExecutor() as pool:
            pass
        pool.submit(print)
    """,
    "OSError: [Errno 98] Address already in use": """
        import socket
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_server(server.getsockname())
    """,
    "OSError: [Errno 98] error while attempting to bind on address": """
        import socket
        with socket.create_server(("127.0.0.1", 0)) as server:
            await asyncio.start_server(print, *server.getsockname())
    """,
    "OSError: [Errno 24] Too many open files": """
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (9, 9))
        files = [os.dup(0) for _ in range(9)]
    """,
    "ConnectionResetError: [Errno 104] Connection reset by peer": """
        import socket, struct
        server = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        client.recv(1)
    """,
    "BrokenPipeError: [Errno 32] Broken pipe": """
        reader, writer = os.pipe()
        os.close(reader)
        os.write(writer, b"text")
    """,
    "ConnectionRefusedError: [Errno 111] Connect call failed": """
        import socket
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = server.getsockname()
        asyncio.run(asyncio.open_connection(*address))
    """,
    "socket.send() raised exception.": """
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await reader.read()
        for _ in range(50):
            writer.write(b"text")
            await asyncio.sleep(0.001)
    """,
    "sqlite3.OperationalError: database is locked": """
        import sqlite3, tempfile
        with tempfile.NamedTemporaryFile() as file:
            for connection in [sqlite3.connect(file.name, 0) for _ in range(2)]:
                connection.execute("BEGIN IMMEDIATE")
    """,
    "sqlite3.ProgrammingError: SQLite objects created in a thread can only be used in that same thread": """
        import sqlite3
        connection = sqlite3.connect(":memory:")
        asyncio.run(asyncio.to_thread(connection.execute, "SELECT 1"))
    """,
    "sqlite3.IntegrityError: UNIQUE constraint failed": """
        import sqlite3
        sqlite3.connect(":memory:").executescript(
            "CREATE TABLE t (a PRIMARY KEY); INSERT INTO t VALUES (1), (1)")
    """,
    "Unclosed client session": """
        import aiohttp
        async def main():
            aiohttp.ClientSession()
        asyncio.run(main())
    """,
    "RuntimeError: Session is closed": """
        import aiohttp
        session = aiohttp.ClientSession()
        await session.close()
        await session.get("http://127.0.0.1")
    """,
    "aiohttp.client_exceptions.ClientConnectorError: Cannot connect to host": """
        import aiohttp
        async with aiohttp.ClientSession() as session:
            await session.get("http://127.0.0.1:1")
    """,
    "aiohttp.client_exceptions.ServerDisconnectedError: Server disconnected": """
        import aiohttp
        async def serve(reader, writer):
            await reader.readuntil(b"\\r\\n\\r\\n")
            writer.close()
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with aiohttp.ClientSession() as session:
            await session.post(f"http://127.0.0.1:{port}")
    """,
    "aiohttp.client_exceptions.ClientResponseError: 404, message='Not Found'": """
        import aiohttp.web
        runner = aiohttp.web.AppRunner(aiohttp.web.Application())
        await runner.setup()
        await aiohttp.web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            await session.get("http://127.0.0.1:%d" % runner.addresses[0][1])
    """,
    "RuntimeError: Timeout context manager should be used inside a task": """
        import aiohttp
        async def main():
            session = aiohttp.ClientSession()
            await session.get("http://127.0.0.1:1")
        loop = asyncio.new_event_loop()
        loop.call_soon(main().send, None)
        loop.call_later(0.01, loop.stop)
        loop.run_forever()
    """,
    "httpx.ConnectError: All connection attempts failed": """
        import httpx
        asyncio.run(httpx.AsyncClient().get("http://127.0.0.1:1"))
    """,
    "httpx.ReadTimeout": """
        import httpx, socket
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            client = httpx.AsyncClient(timeout=httpx.Timeout(None, read=0.05))
            asyncio.run(client.get(f"http://127.0.0.1:{port}"))
    """,
    "ResourceWarning: unclosed transport": """
        import socket
        server = socket.create_server(("127.0.0.1", 0))
        async def main():
            loop = asyncio.get_running_loop()
            await loop.create_connection(asyncio.Protocol, *server.getsockname())
        asyncio.run(main())
    """,
    "LookupError: <ContextVar name='...'": """
        import contextvars
        contextvars.ContextVar("user").get()
    """,
}


def run(source):
    """Runs a program in a process of its own, and returns what it printed."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        # Longer than any of them takes on a busy machine.
        signal.alarm(300)
        os.dup2(write, 1)
        os.dup2(write, 2)
        try:
            code = compile(source, "program", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            if coroutine := eval(code, {"asyncio": asyncio, "json": json, "os": os}):
                asyncio.run(coroutine)
        except BaseException:
            traceback.print_exc()
        gc.collect()
        sys.stderr.flush()
        os._exit(0)
    os.close(write)
    with open(read, errors="replace") as output:
        text = output.read()
    os.waitpid(child, 0)
    return text


def main():
    """Runs all programs, or those whose message contains the first argument."""
    for message, source in PROGRAMS.items():
        if not any(word in message for word in sys.argv[1:] or [""]):
            continue
        source = textwrap.dedent(source).strip()
        only = re.match(r"# (since|until) 3\.(\d+)", source)
        if only is None:
            has = True
        elif only[1] == "since":
            has = sys.version_info[1] >= int(only[2])
        else:
            has = sys.version_info[1] <= int(only[2])
        print(json.dumps([message, run(source) if has else None]), flush=True)


main()
