import asyncio
import gc
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import Pieces, run_together, settle, yes

MUCH = 1_000_000
RECEIVING, BOTH = ["receiving"], ["receiving", "sending"]


async def pair(small=(), client_tls=None, server_tls=None):
    """Both ends of a connection; `small` buffers to the peer hold only 16 KiB."""
    listener = socket.socket()
    if "receiving" in small:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    listener.bind(("127.0.0.1", 0))
    accepted = asyncio.get_running_loop().create_future()

    async def accept(reader, writer):
        accepted.set_result((reader, writer))

    # With a small limit it stops reading soon, and the system's buffers fill.
    server = await asyncio.start_server(
        accept, sock=listener, ssl=server_tls, limit=1024
    )
    plain = socket.socket()
    if "sending" in small:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
    plain.setblocking(False)
    await asyncio.get_running_loop().sock_connect(plain, listener.getsockname())
    name = "localhost" if client_tls else None
    stream = await asyncio.open_connection(
        sock=plain, ssl=client_tls, server_hostname=name
    )
    peer = await accepted
    server.close()
    return stream, peer


def tls_contexts():
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(IDENTITY)
    return ssl.create_default_context(cafile=IDENTITY), server


async def tls_pair(small):
    return await pair(small, *tls_contexts())


def read_late(peer):
    """Reads to the end, but begins only after 0.2 s."""

    async def read():
        reader, writer = peer
        await asyncio.sleep(0.2)
        data, end = b"", "the end"
        try:
            while piece := await reader.read(65536):
                data += piece
        except OSError:
            end = "an error"
        writer.close()
        if len(data) in (5, MUCH):
            return f"the peer gets all, then {end}"
        return f"the peer gets not all, then {end}"

    return asyncio.create_task(read())


async def write_all(writer):
    writer.write(b"x" * MUCH)
    await writer.drain()
    writer.close()
    await writer.wait_closed()


# Close.


async def close_delivers():
    (_, writer), peer = await pair(RECEIVING)
    reading = read_late(peer)
    await write_all(writer)
    return await reading


async def close_with_unread_input():
    (_, writer), peer = await pair(RECEIVING)
    peer[1].write(b"220 ready\r\n")
    await settle()
    reading = read_late(peer)
    await write_all(writer)
    return await reading


async def close_with_tickets():
    (_, writer), peer = await tls_pair(RECEIVING)
    reading = read_late(peer)
    await write_all(writer)
    return await reading


async def close_ends_the_reader():
    (reader, writer), _peer = await pair()
    reading = asyncio.create_task(reader.readline())
    await settle()
    writer.close()
    return f"the waiting readline returns {len(await reading)} bytes"


async def forgotten_writer():
    (reader, writer), peer = await pair()
    writer.write(b"hello")
    del reader, writer
    gc.collect()
    return await read_late(peer)


async def write_after_close():
    (_, writer), _peer = await pair()
    writer.close()
    writer.write(b"hello")
    try:
        await writer.drain()
        return "fails: false"
    except OSError:
        return "fails: true"


async def write_after_close_tls():
    (_, writer), (reader, peer) = await tls_pair([])
    writer.close()
    peer.write(b"late")
    await settle()
    writer.write(b"hello")
    try:
        await writer.drain()
        failed = False
    except OSError:
        failed = True
    count = len(await reader.read())
    peer.close()
    return f"fails: {yes(failed)}, the peer gets {count} bytes"


# wait_closed.


async def wait_closed():
    (_, writer), peer = await pair()
    reading = read_late(peer)
    writer.write(b"hello")
    writer.close()
    await writer.wait_closed()
    return await reading


async def wait_closed_waits():
    (_, writer), peer = await tls_pair(RECEIVING)
    peer[1].transport.pause_reading()

    async def answer():
        await asyncio.sleep(0.5)
        peer[1].transport.resume_reading()

    answering = asyncio.create_task(answer())
    loop = asyncio.get_running_loop()
    start = loop.time()
    writer.close()
    await writer.wait_closed()
    waited = loop.time() - start > 0.1
    await answering
    return f"waits for the peer: {yes(waited)}"


# write_eof.


async def write_eof():
    (reader, writer), peer = await pair()

    async def answer():
        question = await peer[0].read()
        peer[1].write(question.upper())
        peer[1].close()

    answering = asyncio.create_task(answer())
    writer.write(b"question")
    writer.write_eof()
    told = (await reader.read()).decode()
    await answering
    return f"the answer is {told}"


# drain.


async def drain_tells_of_the_end():
    (_, writer), peer = await pair()
    peer[1].close()
    for _ in range(100):
        try:
            writer.write(b"hello")
            await writer.drain()
        except OSError:
            return "fails after a few writes"
        await settle()
    return "never fails"


async def drain_sends():
    (reader, writer), peer = await tls_pair(BOTH)

    async def answer():
        await asyncio.sleep(0.2)
        await peer[0].readexactly(MUCH)
        peer[1].write(b"answer")

    answering = asyncio.create_task(answer())
    writer.write(b"x" * MUCH)
    await writer.drain()
    told = (await reader.readexactly(6)).decode()
    await answering
    return f"the answer is {told}"


# The end, at the reader.


async def ended(text):
    """A stream that holds this text and then ends."""
    (reader, _writer), peer = await pair()
    peer[1].write(text)
    peer[1].close()
    # Without the writer the stream would be closed.
    reader.writer = _writer
    return reader


def shown(data):
    return '"' + data.decode().replace("\n", "\\n") + '"'


async def read_again():
    reader = await ended(b"hello")
    counts = [str(len(await reader.read(100))) for _ in range(3)]
    return f"{', '.join(counts)} bytes"


async def read_rest():
    return shown(await (await ended(b"one\ntwo")).read())


async def readline_unfinished():
    return shown(await (await ended(b"hello")).readline())


async def readline_at_the_end():
    return shown(await (await ended(b"")).readline())


async def fails_unfinished(read):
    try:
        return f"returns {shown(await read)}"
    except asyncio.IncompleteReadError:
        return "fails"


async def readuntil_unfinished():
    return await fails_unfinished((await ended(b"SET a 10")).readuntil())


async def readexactly_unfinished():
    return await fails_unfinished((await ended(b"hello")).readexactly(9))


async def error_again():
    (reader, _writer), peer = await pair()
    plain = peer[1].get_extra_info("socket")
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer[1].transport.abort()
    await settle()
    told = []
    for _ in range(2):
        try:
            told.append(f"{len(await reader.read(100))} bytes")
        except ConnectionResetError:
            told.append("reset")
    return ", then ".join(told)


async def end_without_notify():
    (reader, _writer), peer = await tls_pair(RECEIVING)
    peer[1].write(b"hello")
    await settle()
    # Ends the connection below, and sends no close_notify.
    with socket.socket(fileno=peer[1].get_extra_info("socket").fileno()) as plain:
        plain.shutdown(socket.SHUT_WR)
        plain.detach()
    end = "the end"
    try:
        await reader.read()
    except OSError:
        end = "an error"
    return f"hello, then {end}"


# Writing.


async def nodelay():
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    plain = writer.get_extra_info("socket")
    told = plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    writer.close()
    server.close()
    return f"TCP_NODELAY: {yes(told)}"


async def write_then_read(stream):
    """Writes much and then reads as much."""
    reader, writer = stream
    writer.write(b"x" * 10 * MUCH)
    return len(await reader.readexactly(10 * MUCH))


async def both_write_first():
    ours, theirs = await pair(BOTH)
    both = await asyncio.gather(write_then_read(ours), write_then_read(theirs))
    return f"both have read all: {yes(both == [10 * MUCH] * 2)}"


async def aborted():
    (_, writer), (reader, _peer) = await pair()
    writer.write(b"hello")
    await settle()
    writer.transport.abort()
    try:
        await reader.read()
        return "the peer sees the end"
    except OSError:
        return "the peer sees a reset"


# TLS.


def tls_contexts():
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(IDENTITY)
    return ssl.create_default_context(cafile=IDENTITY), server


async def handshake(client, name):
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    failed = asyncio.get_running_loop().create_future()

    class Peer(asyncio.Protocol):
        def connection_lost(self, exc):
            if not failed.done():
                failed.set_result(exc is not None)

    _, server_tls = tls_contexts()
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    accepting = asyncio.create_task(
        loop.connect_accepted_socket(Peer, theirs, ssl=server_tls)
    )
    try:
        _, writer = await asyncio.open_connection(
            sock=ours, ssl=client, server_hostname=name
        )
        writer.close()
        told = "accepts"
    except ssl.SSLError:
        told = "refuses"
    try:
        await accepting
        server_failed = await failed
    except OSError:
        server_failed = True
    return f"the client {told}, the server fails: {yes(server_failed)}"


async def handshake_with(data):
    client, _ = tls_contexts()
    ours, theirs = socket.socketpair()
    theirs.sendall(data)
    theirs.shutdown(socket.SHUT_WR)
    try:
        _, writer = await asyncio.open_connection(
            sock=ours, ssl=client, server_hostname="localhost"
        )
        writer.close()
        failed = False
    except OSError:
        failed = True
    theirs.close()
    return f"fails: {yes(failed)}"


async def handshake_limit():
    client, _ = tls_contexts()
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            await asyncio.open_connection(
                sock=ours,
                ssl=client,
                server_hostname="localhost",
                ssl_handshake_timeout=0.1,
            )
            return "ends"
        except OSError:
            return "times out: true"


async def start_tls():
    """Changes to TLS after a plain line, as SMTP does. Somebody has added a line."""
    client_tls, server_tls = tls_contexts()
    (ours, ours_writer), (theirs, theirs_writer) = await pair()
    ours_writer.write(b"STARTTLS\nMAIL\n")

    async def serve():
        await theirs.readline()
        theirs_writer.write(b"go\n")
        await theirs_writer.start_tls(server_tls)
        return (await theirs.readline()).decode().strip()

    serving = asyncio.create_task(serve())
    await ours.readline()
    await ours_writer.start_tls(client_tls, server_hostname="localhost")
    ours_writer.write(b"EHLO\n")
    return f"the first line over TLS is {await serving}"


async def pieces_of_tls():
    async def greet(_, writer):
        writer.write(b"hello world")
        writer.close()

    client, server = tls_contexts()
    server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=server)
    address = server.sockets[0].getsockname()
    _, own = await asyncio.get_running_loop().create_connection(
        Pieces, *address, ssl=client, server_hostname="localhost"
    )
    await own.ended.wait()
    server.close()
    return "|".join(own.pieces)


def probes():
    yield "stream.close.delivers-all", close_delivers()
    for counterpart in ["", "@read-to-end"]:
        clause = f"stream.close.delivers-with-unread-input{counterpart}"
        yield clause, close_with_unread_input()
    for counterpart in ["@tls", "@tls-read-to-end"]:
        yield f"stream.close.delivers-all{counterpart}", close_with_tickets()
    yield "stream.close.ends-waiting-read", close_ends_the_reader()
    yield "stream.close.write-fails-after", write_after_close()
    for counterpart in ["", "@split"]:
        yield f"stream.drop.peer-sees-end{counterpart}", forgotten_writer()
    yield "stream.drop.delivers-all@BufWriter", forgotten_writer()
    yield "stream.wait_closed.delivers-all", wait_closed()
    yield "stream.wait_closed.waits-for-peer@tls", wait_closed_waits()
    yield "stream.write_eof.answer-arrives", write_eof()
    yield "stream.drain.fails-if-peer-is-gone", drain_tells_of_the_end()
    for counterpart in ["@tls", "@tls-flush"]:
        yield f"stream.drain.sends-all{counterpart}", drain_sends()
    yield "stream.read.end-again", read_again()
    yield "stream.read.rest-to-end", read_rest()
    yield "stream.readline.unfinished-at-end", readline_unfinished()
    yield "stream.readline.empty-at-end", readline_at_the_end()
    yield "stream.readuntil.fails-unfinished", readuntil_unfinished()
    yield "stream.readexactly.fails-unfinished", readexactly_unfinished()
    yield "stream.read.error-again", error_again()
    yield "stream.read.end-without-notify@tls", end_without_notify()
    for counterpart in ["", "@set_nodelay"]:
        yield f"stream.open.nodelay{counterpart}", nodelay()
    for counterpart in ["", "@join"]:
        yield f"stream.write.both-sides-first{counterpart}", both_write_first()
    for counterpart in ["", "@drop"]:
        yield f"transport.abort.peer-sees-end{counterpart}", aborted()
    trusting, strangers = tls_contexts()[0], ssl.create_default_context()
    yield "tls.handshake.trusted", handshake(trusting, "localhost")
    yield "tls.handshake.unknown-authority", handshake(strangers, "localhost")
    yield "tls.handshake.wrong-name", handshake(trusting, "example.com")
    yield "tls.name.empty-switches-off", handshake(trusting, "")
    no_tls = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    yield "tls.handshake.no-tls-fails", handshake_with(no_tls)
    yield "tls.handshake.connection-lost-fails", handshake_with(b"")
    for counterpart in ["", "@timeout"]:
        yield f"tls.handshake.limit{counterpart}", handshake_limit()
    yield "start_tls.plain-bytes-are-dropped", start_tls()
    yield "tls.close.data-after-close", write_after_close_tls()
    yield "tls.buffered.pieces", pieces_of_tls()


with tempfile.TemporaryDirectory() as folder:
    # A key and a certificate for localhost that nobody trusts but this program.
    IDENTITY = f"{folder}/identity.pem"
    make = "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1"
    make += f" -subj /CN=localhost -addext subjectAltName=DNS:localhost -out {IDENTITY}"
    subprocess.run([*make.split(), "-keyout", IDENTITY], check=True, capture_output=True)
    run_together(probes, 3)
