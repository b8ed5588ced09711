"""Runs the server of a twin, to be attacked: `host_twin.py TWIN`.

Prints where it listens, and ends with standard input. The exit code is 0 if the server has
stopped as it should.
"""

import asyncio
import contextlib
import importlib.util
import os
import pathlib
import resource
import socket
import sys
import tempfile

CONNECTIONS = 8
SHORT = 0.3
# What the system may hold of a connection.
BUFFER = 16 * 1024
# Fewer than the peers of a crowd.
DESCRIPTORS = 48


def load(path):
    """Imports a twin, and does not run it."""
    run, asyncio.run = asyncio.run, lambda main: main.close()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    twin = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = twin
    spec.loader.exec_module(twin)
    asyncio.run = run
    return twin


def small():
    """Returns a socket for which the system holds little."""
    stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    stream.setblocking(False)
    return stream


def listen():
    listener = small()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    return listener


@contextlib.asynccontextmanager
async def running(server, stop):
    """Runs a server that ends after `stop` was set."""
    serving = asyncio.create_task(server)
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(serving, 20)


@contextlib.asynccontextmanager
async def tcp_echo_server(twin):
    limits = twin.Limits(connections=CONNECTIONS, idle=SHORT, drain=SHORT)
    listener, stop = listen(), asyncio.Event()
    address = listener.getsockname()
    async with running(twin.serve(listener, limits, stop), stop):
        yield address[1]


@contextlib.asynccontextmanager
async def tcp_proxy(twin):
    limits = twin.Limits(
        connections=CONNECTIONS, connect=SHORT, idle=SHORT, drain=SHORT
    )

    async def echo(reader, writer):
        with contextlib.suppress(OSError, asyncio.CancelledError):
            while data := await reader.read(4096):
                writer.write(data)
                await writer.drain()
        writer.close()

    open_connection = asyncio.open_connection

    async def connect(*address):
        stream = small()
        await asyncio.get_running_loop().sock_connect(stream, address)
        return await open_connection(sock=stream)

    asyncio.open_connection = connect
    listener, upstream, stop = listen(), listen(), asyncio.Event()
    address, server = listener.getsockname(), upstream.getsockname()
    async with await asyncio.start_server(echo, sock=upstream):
        async with running(twin.serve(listener, server, limits, stop), stop):
            yield address[1]


@contextlib.asynccontextmanager
async def line_protocol(twin):
    limits = twin.Limits(
        connections=CONNECTIONS, line=1000, names=100, idle=SHORT, write=SHORT
    )
    listener, stop = listen(), asyncio.Event()
    address = listener.getsockname()
    async with running(twin.Server(limits, stop).serve(listener), stop):
        yield address[1]


@contextlib.asynccontextmanager
async def servers(twin):
    twin.IDLE = SHORT
    clients = twin.Clients("x", CONNECTIONS)
    listener = listen()
    async with await asyncio.start_server(clients.connected, sock=listener):
        yield listener.getsockname()[1]
    clients.close()
    await asyncio.wait_for(clients.wait_closed(), 20)


@contextlib.asynccontextmanager
async def protocols(twin):
    twin.IDLE, twin.CONNECTIONS = SHORT, CONNECTIONS
    loop, listener, made = asyncio.get_running_loop(), listen(), asyncio.Queue()
    async with await loop.create_server(lambda: twin.Echo(made), sock=listener):
        yield listener.getsockname()[1]


@contextlib.asynccontextmanager
async def unix_socket(twin):
    twin.WRITE, twin.CONNECTIONS = SHORT, CONNECTIONS
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "socket")
        async with twin.listen(path, 0o600, os.geteuid(), "x" * (1 << 20)):
            yield path


@contextlib.asynccontextmanager
async def tls(twin):
    twin.LIMIT, twin.CONNECTION, twin.CONNECTIONS = SHORT, SHORT, CONNECTIONS
    async with twin.start(twin.identify(twin.CERTIFICATE, twin.KEY)) as address:
        yield address[1]


@contextlib.asynccontextmanager
async def websocket_server(twin):
    limits = twin.Limits(
        connections=CONNECTIONS,
        joining=SHORT,
        message=1000,
        queue=64,
        pace=0.001,
        ping=SHORT / 3,
        pong=SHORT,
        closing=SHORT,
    )
    listener = listen()
    async with twin.Room(limits).serve(listener):
        yield listener.getsockname()[1]


@contextlib.asynccontextmanager
async def rpc_over_one_connection(twin):
    limits = twin.Limits(payload=1000, calls=4, call=SHORT, idle=2 * SHORT)

    async def echo(request):
        assert request != b"panic", "scheduled"
        return request

    async def connected(reader, writer):
        try:
            async with permits:
                await twin.answer(reader, writer, limits, echo)
        finally:
            writer.transport.abort()

    permits = asyncio.Semaphore(CONNECTIONS)
    listener = listen()
    async with await asyncio.start_server(connected, sock=listener, limit=4096):
        yield listener.getsockname()[1]


@contextlib.asynccontextmanager
async def https_server(twin):
    limits = twin.Limits(handshake=SHORT, drain=SHORT)
    listener, stop = listen(), asyncio.Event()
    address = listener.getsockname()
    with tempfile.TemporaryDirectory() as folder:
        chain, key = (pathlib.Path(folder, name) for name in ("chain", "key"))
        chain.write_text(twin.FIRST_CHAIN)
        key.write_text(twin.FIRST_KEY)
        certificate = twin.Certificate(chain, key)
        routes = [twin.web.get("/health", twin.hello)]
        serving = twin.serve(listener, certificate, routes, limits, stop)
        async with running(serving, stop):
            yield address[1]


@contextlib.asynccontextmanager
async def api_server(twin):
    async def work(text):
        assert text != "panic", "scheduled"
        return await twin.count_words(text)

    listener, stop = listen(), asyncio.Event()
    address = listener.getsockname()
    jobs = twin.Jobs(2, 10, work)
    async with running(twin.serve(listener, jobs, SHORT, stop), stop):
        yield address[1]


async def main():
    path = pathlib.Path(sys.argv[1])
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    twin = load(path)
    async with globals()[path.stem](twin) as address:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, most))
        print(address, flush=True)
        sys.stdout = sys.stderr
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
