import asyncio
import gc
import io
import logging
import os
import socket
import sys
import time
import warnings
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import pair, run_together, yes


class Notes(logging.Handler):
    """Keeps what asyncio logs."""

    def __init__(self, *words):
        super().__init__()
        self.words, self.log = words, []
        logging.getLogger("asyncio").addHandler(self)

    def emit(self, record):
        self.log += [word for word in self.words if word in record.getMessage()]


async def write_after_close():
    (_, writer), _peer = await pair()
    writer.close()
    writer.write(b"late")
    return "dropped"


async def pipe_is_dropped():
    """In a loop of its own, which has ended before the pipe is dropped."""

    def leave_open():
        loop = asyncio.new_event_loop()
        ours, theirs = os.pipe()
        pipe = loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(theirs, "wb"))
        transport, _ = loop.run_until_complete(pipe)
        loop.close()
        del transport
        gc.collect()
        os.close(ours)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        await asyncio.to_thread(leave_open)
    told = [str(warning.message) for warning in caught]
    return f"told: {[text.split(' <')[0] for text in told if 'PipeTransport' in text]}"


async def stream_is_dropped():
    (_, writer), _peer = await pair()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del _, writer
        gc.collect()
    told = [str(warning.message) for warning in caught]
    return f"told: {[text[:21] for text in told if 'StreamWriter' in text]}"


async def slow_step():
    async def main():
        asyncio.get_running_loop().set_debug(True)
        await asyncio.sleep(0)
        time.sleep(0.15)
        await asyncio.sleep(0)
        asyncio.get_running_loop().set_debug(False)

    notes = Notes("Executing")
    await asyncio.to_thread(asyncio.run, main())
    return f"told: {notes.log[:1]}"


# Connect.


class Loop(asyncio.SelectorEventLoop):
    """Knows the addresses of "host"."""

    addresses = []

    async def getaddrinfo(self, host, port, **options):
        if host != "host":
            return await super().getaddrinfo(host, port, **options)
        kind = socket.SOCK_STREAM, socket.IPPROTO_TCP, ""
        return [(family, *kind, address) for family, address in self.addresses]


async def connect(addresses, **options):
    """Connects to "host", in a loop of its own."""

    def run():
        loop = Loop()
        loop.addresses = addresses
        try:
            connected = loop.create_connection(asyncio.Protocol, "host", 1, **options)
            transport, _ = loop.run_until_complete(connected)
            transport.close()
            return "connected"
        except OSError as error:
            return f"addresses in the error: {str(error).count('Errno 111')}"
        finally:
            loop.close()

    return await asyncio.to_thread(run)


async def all_fail():
    return await connect([(socket.AF_INET, (f"127.0.0.{it}", 1)) for it in (1, 2)])


async def local_address():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        first = socket.AF_INET6, ("::1", address[1], 0, 0)
        addresses = [first, (socket.AF_INET, address)]
        return await connect(addresses, local_addr=("127.0.0.1", 0))


async def connect_by_name():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.setblocking(False)
        port = server.getsockname()[1]
        await asyncio.get_running_loop().sock_connect(client, ("localhost", port))
    return "is taken"


# Files.


async def copy_from_memory():
    loop, ((_, writer), (reader, _peer)) = asyncio.get_running_loop(), await pair()
    count = await loop.sendfile(writer.transport, io.BytesIO(b"hello"))
    await reader.readexactly(5)
    try:
        await loop.sendfile(writer.transport, io.BytesIO(b"hello"), fallback=False)
    except RuntimeError:
        return f"{count} bytes are copied, without the fallback it is refused"


async def peer_leaves():
    """The position is the sum of what the system has taken."""
    sent, sendfile = [], os.sendfile

    def counting(*args):
        sent.append(sendfile(*args))
        return sent[-1]

    loop, ((_, writer), (reader, peer)) = asyncio.get_running_loop(), await pair()
    os.sendfile = counting
    try:
        with open(sys.executable, "rb") as file:
            sending = loop.sendfile(writer.transport, file)
            sending = asyncio.create_task(sending)
            await reader.readexactly(100)
            peer.transport.abort()
            await asyncio.wait([sending])
            position = file.tell()
    finally:
        os.sendfile = sendfile
    return f"the file is where the sending ended: {yes(position == sum(sent))}"


# Datagrams.


async def send_to_a_full_socket():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, sock=ours
    )
    for _ in range(10_000):
        transport.sendto(b"x" * 1000)
    transport.abort()
    theirs.close()
    return "all are taken"


async def options():
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, ("127.0.0.1", 0), reuse_port=True
    )
    ours = transport.get_extra_info("socket")
    reuses = ours.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    transport.close()
    return f"bound with the option: {yes(reuses)}"


# Pipes.


class Lost(asyncio.BaseProtocol):
    def __init__(self):
        self.lost = asyncio.Event()

    def connection_lost(self, error):
        self.lost.set()


async def write_pipe():
    ours, theirs = os.pipe()
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(Lost, os.fdopen(theirs, "wb"))
    os.close(ours)
    return transport, protocol


async def reader_is_gone():
    _, protocol = await write_pipe()
    await protocol.lost.wait()
    return f"noticed: {yes(protocol.lost.is_set())}"


async def writes_after_the_loss():
    transport, protocol = await write_pipe()
    await protocol.lost.wait()
    notes = Notes("pipe closed by peer")
    for _ in range(6):
        transport.write(b"lost")
    return f"6 writes are dropped, {len(notes.log)} is logged"


# Children.


class Events(asyncio.SubprocessProtocol):
    def __init__(self):
        self.first = asyncio.get_running_loop().create_future()

    def note(self, event):
        if not self.first.done():
            self.first.set_result(event)

    def pipe_connection_lost(self, number, error):
        self.note("pipe")

    def process_exited(self):
        self.note("exit")


async def first_event(program):
    """Returns what happens before the input of the child ends."""
    transport, events = await asyncio.get_running_loop().subprocess_exec(
        Events, "sh", "-c", program
    )
    first = await events.first
    transport.close()
    return first


async def exit_and_pipes():
    closes = await first_event("exec >&- 2>&-; read line")
    inherits = await first_event("exec 3<&0; cat <&3 & exit")
    return f"it closes them: {closes} first; its child has them: {inherits} first"


async def reaped_once():
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()
    try:
        os.waitpid(process.pid, 0)
        return "left to wait for: true"
    except ChildProcessError:
        return "left to wait for: false"


def probes():
    yield "transport.write.after-close", write_after_close()
    yield "pipe.unclosed.warns", pipe_is_dropped()
    yield "stream.drop.warns", stream_is_dropped()
    yield "loop.slow.logged", slow_step()
    yield "connect.errors.all", all_fail()
    yield "connect.local_addr.family", local_address()
    yield "sock_connect.name", connect_by_name()
    yield "sendfile.fallback", copy_from_memory()
    yield "sendfile.peer-gone", peer_leaves()
    yield "datagram.sendto.buffers", send_to_a_full_socket()
    yield "datagram.options", options()
    yield "pipe.write.notices-reader-gone", reader_is_gone()
    yield "pipe.write.after-loss", writes_after_the_loss()
    yield "subprocess_protocol.exit-after-pipes", exit_and_pipes()
    yield "process.reaped.once", reaped_once()


run_together(probes, 2)
