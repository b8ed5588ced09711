"""Runs the server of a twin, to be attacked: `host_twin.py TWIN`.

Prints where it listens, and ends with standard input.
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


def listen():
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    listener.setblocking(False)
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
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, sys.stdin.read)
    print("stopped", flush=True)


asyncio.run(main())
