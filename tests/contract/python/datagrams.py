import asyncio
import os
import socket
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import run_together, settle, yes

HOST = "127.0.0.1"


class Received(asyncio.DatagramProtocol):
    def __init__(self):
        self.datagrams, self.errors = [], []

    def datagram_received(self, data, addr):
        self.datagrams.append(data)

    def error_received(self, exc):
        self.errors.append(exc)


async def endpoint(**options):
    loop = asyncio.get_running_loop()
    return await loop.create_datagram_endpoint(Received, **options)


async def bound():
    transport, received = await endpoint(local_addr=(HOST, 0))
    return transport, received, transport.get_extra_info("sockname")


def plain():
    """A socket as `loop.sock_sendto` needs it."""
    plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    plain.setblocking(False)
    plain.bind((HOST, 0))
    return plain


def nobody():
    with plain() as gone:
        return gone.getsockname()


async def sent(data, address):
    loop = asyncio.get_running_loop()
    with plain() as ours:
        try:
            await loop.sock_sendto(ours, data, address)
            return "sent"
        except OSError:
            return "fails"


# Datagrams.


async def both_ways():
    loop = asyncio.get_running_loop()
    with plain() as ours, plain() as theirs:
        await loop.sock_sendto(ours, b"question", theirs.getsockname())
        question, sender = await loop.sock_recvfrom(theirs, 100)
        await loop.sock_sendto(theirs, question.upper(), sender)
        answer, _ = await loop.sock_recvfrom(ours, 100)
    return answer.decode()


async def empty():
    transport, received, address = await bound()
    with plain() as ours:
        ours.sendto(b"", address)
        ours.sendto(b"after", address)
        await settle()
    transport.close()
    return ", ".join(str(len(data)) for data in received.datagrams) + " bytes"


async def short_buffer():
    loop = asyncio.get_running_loop()
    with plain() as ours, plain() as theirs:
        ours.sendto(b"x" * 50, theirs.getsockname())
        ours.sendto(b"next", theirs.getsockname())
        buffer = bytearray(10)
        first, _ = await loop.sock_recvfrom_into(theirs, buffer)
        second, _ = await loop.sock_recvfrom_into(theirs, buffer)
    return f"{first} of 50 bytes, then {second}"


async def too_long():
    return await sent(b"x" * 70_000, nobody())


async def to_nobody():
    transport, received, address = await bound()
    transport.sendto(b"lost", nobody())
    await settle()
    with plain() as theirs:
        theirs.sendto(b"hello", address)
        await settle()
    transport.close()
    return f"{len(received.errors)} errors, then {received.datagrams[0].decode()}"


async def connected_to_nobody():
    transport, received = await endpoint(remote_addr=nobody())
    transport.sendto(b"lost")
    await settle()
    transport.close()
    return "refused" if received.errors else "no error"


async def connected_to_other():
    with plain() as peer, plain() as other:
        transport, _ = await endpoint(remote_addr=peer.getsockname())
        try:
            transport.sendto(b"hello", other.getsockname())
            told = "is sent"
        except ValueError:
            told = "is refused"
        transport.close()
    return told


async def broadcast(**options):
    transport, received = await endpoint(local_addr=(HOST, 0), **options)
    transport.sendto(b"hello", ("127.255.255.255", 9))
    await settle()
    transport.close()
    return "refused" if received.errors else "sent"


async def port_in_use():
    with plain() as ours:
        try:
            await endpoint(local_addr=ours.getsockname())
            return "taken"
        except OSError:
            return "in use"


async def unix_datagram():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        transport, received = await endpoint(local_addr=path, family=socket.AF_UNIX)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
            ours.sendto(b"hello", path)
            await settle()
        transport.close()
        return received.datagrams[0].decode()


async def unix_stale():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
            dead.bind(path)
        try:
            transport, _ = await endpoint(local_addr=path, family=socket.AF_UNIX)
        except OSError:
            return "in use"
        transport.close()
        return "replaced"


# Pipes.


class Pipe(asyncio.Protocol):
    def __init__(self):
        self.lost = False

    def connection_lost(self, exc):
        self.lost = True


async def read_pipe(file):
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), file
    )
    return reader, transport


async def write_pipe(file):
    return await asyncio.get_running_loop().connect_write_pipe(Pipe, file)


async def pipe_to_end():
    ours, theirs = os.pipe()
    reader, transport = await read_pipe(os.fdopen(ours))
    os.write(theirs, b"hello")
    os.close(theirs)
    told = (await reader.read()).decode()
    transport.close()
    return told


async def pipe_write():
    ours, theirs = os.pipe()
    transport, _ = await write_pipe(os.fdopen(theirs, "w"))
    transport.write(b"hello")
    await settle()
    transport.close()
    told = os.read(ours, 100).decode()
    os.close(ours)
    return told


async def pipe_reader_gone():
    """Tells whether it is noticed without a write."""
    ours, theirs = os.pipe()
    transport, pipe = await write_pipe(os.fdopen(theirs, "w"))
    os.close(ours)
    await settle()
    transport.close()
    return f"noticed: {yes(pipe.lost)}"


async def accepted(file):
    try:
        _, transport = await read_pipe(file)
        transport.close()
        return "accepted"
    except ValueError:
        return "refused"


async def pipe_of_socket():
    ours, theirs = socket.socketpair()
    with theirs:
        return await accepted(ours)


async def pipe_of_terminal():
    return await accepted(open("/dev/ptmx", "rb", buffering=0))


async def pipe_of_file():
    return await accepted(open(__file__))


def probes():
    yield "datagram.both-ways", both_ways()
    yield "datagram.empty-is-no-end", empty()
    yield "sock_recvfrom_into.cuts-long-datagram", short_buffer()
    yield "datagram.sendto.too-long-fails", too_long()
    yield "datagram.sendto.to-nobody-is-no-error", to_nobody()
    yield "datagram.connected.to-nobody-tells", connected_to_nobody()
    yield "datagram.connected.other-address-refused", connected_to_other()
    yield "datagram.allow_broadcast.needed", broadcast()
    yield "datagram.allow_broadcast.allows", broadcast(allow_broadcast=True)
    yield "datagram.port.in-use", port_in_use()
    yield "datagram.unix.receives", unix_datagram()
    yield "datagram.unix.replaces-stale-file", unix_stale()
    yield "pipe.read.to-end", pipe_to_end()
    yield "pipe.write.arrives", pipe_write()
    yield "pipe.write.notices-reader-gone@ready", pipe_reader_gone()
    yield "pipe.read.takes-socket", pipe_of_socket()
    yield "pipe.read.takes-terminal", pipe_of_terminal()
    yield "pipe.read.refuses-file", pipe_of_file()


run_together(probes, 3)
