import asyncio
import concurrent.futures
import os
import socket
import struct
import sys
import tempfile
import threading
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import Pieces, pair, run_together, sendall, settle, yes

HOST = "127.0.0.1"
MUCH = 1_000_000
# An address of a network interface that does not exist: no name server is asked.
UNKNOWN = "fe80::1%none", 80
# Files stay until the program ends.
FOLDER = tempfile.TemporaryDirectory(prefix="contract-")


def reset(writer):
    """Ends the connection with an error for the peer."""
    plain = writer.get_extra_info("socket")
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def fails(call):
    try:
        await call
        return "works"
    except OSError:
        return "fails"


def bound():
    """A socket that nobody listens on, and its address."""
    plain = socket.socket()
    plain.bind((HOST, 0))
    return plain, plain.getsockname()


# Connect.


async def unknown_name():
    loop = asyncio.get_running_loop()
    listening = await fails(loop.create_server(asyncio.Protocol, *UNKNOWN))
    connecting = await fails(loop.create_connection(asyncio.Protocol, *UNKNOWN))
    return f"listening {listening}, connecting {connecting}"


async def in_turn():
    silent, first = bound()
    listener = socket.create_server((HOST, 0))
    second = listener.getsockname()
    loop = asyncio.get_running_loop()
    real = loop.getaddrinfo

    async def two(host, *args, **kwargs):
        if host != "two":
            return await real(host, *args, **kwargs)
        kind = socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, ""
        return [(*kind, first), (*kind, second)]

    loop.getaddrinfo = two
    _, writer = await asyncio.open_connection("two", 0)
    loop.getaddrinfo = real
    told = yes(writer.get_extra_info("peername") == second)
    writer.close()
    listener.close()
    silent.close()
    return f"connected to the second: {told}"


async def connect_cancelled():
    # Its backlog is full: who connects now gets no answer.
    listener, address = bound()
    listener.listen(0)
    waits = socket.create_connection(address)
    other, own = bound()
    other.close()
    loop = asyncio.get_running_loop()
    call = loop.create_connection(asyncio.Protocol, *address, local_addr=own)
    try:
        await asyncio.wait_for(call, 0.1)
        out = False
    except TimeoutError:
        out = True
    again = socket.socket()
    try:
        again.bind(own)
        free = True
    except OSError:
        free = False
    for it in [again, waits, listener]:
        it.close()
    return f"timed out: {yes(out)}, the port is free: {yes(free)}"


async def serves():
    class Greet(asyncio.Protocol):
        def connection_made(self, transport):
            transport.write(b"hello")
            transport.close()

    class Client(asyncio.Protocol):
        def __init__(self):
            self.got, self.ended = b"", asyncio.Event()

        def data_received(self, data):
            self.got += data

        def connection_lost(self, error):
            self.ended.set()

    loop = asyncio.get_running_loop()
    path = os.path.join(FOLDER.name, "socket")
    tcp = await loop.create_server(Greet, HOST, 0)
    unix = await loop.create_unix_server(Greet, path)
    address = tcp.sockets[0].getsockname()
    _, one = await loop.create_connection(Client, *address)
    _, two = await loop.create_unix_connection(Client, path)
    for client in [one, two]:
        await client.ended.wait()
    tcp.close()
    unix.close()
    return f"{one.got.decode()} over TCP, {two.got.decode()} over a Unix socket"


# Read.


async def readline_of_a_reset():
    (reader, writer), (_, peer) = await pair()
    try:
        await asyncio.wait_for(reader.readline(), 0.05)
    except TimeoutError:
        pass
    waiting = asyncio.create_task(fails(reader.readline()))
    await settle()
    reset(peer)
    told = await waiting
    writer.close()
    return f"the waiting one {told}"


async def read_of_a_reset():
    (reader, writer), (_, peer) = await pair()
    reset(peer)
    tcp = await fails(reader.read(100))
    writer.close()
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    # What it has not read resets the connection.
    writer.write(b"unread")
    theirs.close()
    unix = await fails(reader.read(100))
    writer.close()
    return f"{tcp} over TCP, {unix} over a Unix socket"


async def own_buffer():
    ours, theirs = socket.socketpair()
    theirs.sendall(b"hello world")
    theirs.close()
    loop = asyncio.get_running_loop()
    _, own = await loop.create_unix_connection(Pieces, sock=ours)
    await own.ended.wait()
    return "|".join(own.pieces)


async def recv_into():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(b"hello")
        buffer = bytearray(3)
        count = await asyncio.get_running_loop().sock_recv_into(ours, buffer)
        return f"{count} bytes, {buffer.decode()}"


async def fed():
    reader = asyncio.StreamReader()
    reader.feed_data(b"hello")
    reader.feed_data(b"")
    return (await reader.read(100)).decode()


async def beside_writer():
    loop, told = asyncio.get_running_loop(), asyncio.Queue()
    ours, theirs = socket.socketpair()

    def write():
        ours.send(b"pong")
        loop.remove_writer(ours)

    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        loop.add_reader(ours, lambda: told.put_nowait(ours.recv(100).decode()))
        loop.add_writer(ours, write)
        theirs.send(b"ping")
        read = await told.get()
        written = (await loop.sock_recv(theirs, 4)).decode()
        loop.remove_reader(ours)
    return f"{read} is read, {written} is written"


# Write and close.


async def write_nothing():
    (_, writer), (reader, peer) = await pair()
    for piece in [b"", b"x", b""]:
        writer.write(piece)
    writer.close()
    told = (await reader.read()).decode()
    peer.close()
    return f"the peer gets {told}"


async def end_after_the_buffer():
    async def read_late():
        await asyncio.sleep(0.1)
        return len(await reader.read())

    (_, writer), (reader, peer) = await pair()
    reading = asyncio.create_task(read_late())
    writer.write(b"x" * MUCH)
    writer.write_eof()
    writer.close()
    try:
        writer.write_eof()
        again = "works"
    except OSError:
        again = "fails"
    count = await reading
    peer.close()
    return f"{count} bytes, a second end {again}"


async def close_after_the_end():
    (reader, writer), (request, peer) = await pair()
    writer.write(b"GET\n")
    await request.readline()
    peer.write(b"answer")
    peer.close()
    answer = (await reader.read()).decode()
    writer.close()
    return f"{answer}, then closing {await fails(writer.wait_closed())}"


async def sendall_unix():
    return f"{await sendall(MUCH)} bytes"


# Servers.


async def client_gone():
    async def serve(_, writer):
        writer.write(b"served")
        writer.close()

    listener = socket.create_server((HOST, 0))
    gone = socket.create_connection(listener.getsockname())
    gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    gone.close()
    server = await asyncio.start_server(serve, sock=listener)
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    told = (await reader.read()).decode()
    writer.close()
    server.close()
    return f"the next one is {told}"


async def handler_cancelled():
    handlers, reports = [], []

    async def handle(reader, writer):
        handlers.append(asyncio.current_task())
        await reader.read()

    asyncio.get_running_loop().set_exception_handler(lambda *it: reports.append(it))
    server = await asyncio.start_server(handle, HOST, 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    while not handlers:
        await settle()
    handlers[0].cancel()
    await settle()
    writer.close()
    server.close()
    return f"reported: {yes(reports)}"


# Threads and children.


async def other_thread():
    async def body():
        await settle()
        return 42

    told = []
    thread = threading.Thread(target=lambda: told.append(asyncio.run(body())))
    thread.start()
    thread.join()
    return f"returns {told[0]}"


async def result_of_a_thread():
    future = concurrent.futures.Future()
    thread = threading.Thread(target=future.set_result, args=[42])
    thread.start()
    told = str(await asyncio.wrap_future(future))
    thread.join()
    return told


async def cancel_reaches_the_thread():
    async def wait():
        await asyncio.wrap_future(future)

    future = concurrent.futures.Future()
    waiting = asyncio.create_task(wait())
    await settle()
    waiting.cancel()
    await asyncio.wait([waiting])
    told = []
    thread = threading.Thread(target=lambda: told.append(future.cancelled()))
    thread.start()
    thread.join()
    return f"the thread sees it: {yes(told[0])}"


async def tasks_of_another_thread():
    async def three():
        tasks = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(3)]
        others.put_nowait(asyncio.current_task())
        await asyncio.wait(tasks)

    others, loop = asyncio.Queue(), asyncio.get_running_loop()
    known = asyncio.all_tasks()
    running = asyncio.create_task(three())
    await others.get()
    told = []
    thread = threading.Thread(target=lambda: told.append(asyncio.all_tasks(loop)))
    thread.start()
    thread.join()
    new = [it for it in told[0] - known if it.get_coro().__name__ == "sleep"]
    for task in new:
        task.cancel()
    await running
    return f"{len(new)} tasks"


async def close_finished_child():
    class Ends(asyncio.SubprocessProtocol):
        def __init__(self):
            self.ended = asyncio.Event()

        def process_exited(self):
            self.ended.set()

    loop = asyncio.get_running_loop()
    call = loop.subprocess_exec(Ends, "sh", "-c", "exit 3", stdin=None)
    transport, ends = await call
    await ends.ended.wait()
    transport.close()
    return f"exit code {transport.get_returncode()}"


def probes():
    yield "server.name.unknown", unknown_name()
    yield "connect.address.in-turn", in_turn()
    yield "connect.timeout.closes", connect_cancelled()
    yield "connect.open.serves", serves()
    yield "stream.readline.error-is-raised", readline_of_a_reset()
    yield "stream.open.error-in-next-read", read_of_a_reset()
    yield "protocol.buffered.fills", own_buffer()
    yield "sock_recv_into.fills", recv_into()
    yield "stream.feed.bytes-can-be-read", fed()
    yield "add_reader.beside-writer", beside_writer()
    yield "transport.write.empty", write_nothing()
    yield "transport.write_eof.after-buffer", end_after_the_buffer()
    yield "stream.write.awaitable", close_after_the_end()
    yield "sock_sendall.unix", sendall_unix()
    yield "server.accept.client-gone", client_gone()
    yield "stream.handler.cancel-is-not-reported", handler_cancelled()
    yield "run.other-thread", other_thread()
    yield "wrap_future.thread.result", result_of_a_thread()
    yield "wrap_future.cancel", cancel_reaches_the_thread()
    yield "all_tasks.thread", tasks_of_another_thread()
    yield "process.close.finished", close_finished_child()


run_together(probes, 3)
