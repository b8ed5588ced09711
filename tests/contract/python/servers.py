import asyncio
import os
import socket
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import pair, run_together, sendall, settle, yes

MUCH = 10_000_000
HOST = "127.0.0.1"
# Files stay until the program ends.
FOLDER = tempfile.TemporaryDirectory(prefix="contract-")


def path(name):
    return os.path.join(FOLDER.name, name)


async def read_to_end(reader, writer):
    await reader.read()
    writer.close()


def address(server):
    return server.sockets[0].getsockname()


async def connects(*address):
    """Tells whether somebody accepts there."""
    try:
        _, writer = await asyncio.open_connection(*address)
        writer.close()
        return "connected"
    except ConnectionRefusedError:
        return "refused"


# Starting and stopping.


async def serves():
    async def shout(reader, writer):
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(shout, HOST, 0)
    reader, writer = await asyncio.open_connection(*address(server))
    writer.write(b"hello\n")
    told = (await reader.read()).decode().strip()
    writer.close()
    server.close()
    return told


async def start_later():
    server = await asyncio.start_server(read_to_end, HOST, 0, start_serving=False)
    before = await connects(*address(server))
    await server.start_serving()
    after = await connects(*address(server))
    server.close()
    return f"{before} before, {after} after"


async def two_are_bound():
    first = await asyncio.start_server(read_to_end, HOST, 0, start_serving=False)
    here = address(first)
    second = await asyncio.start_server(read_to_end, *here, start_serving=False)
    await second.start_serving()
    try:
        await first.start_serving()
        told = "both listen"
    except OSError:
        told = "the first may not listen once the second does"
    first.close()
    second.close()
    return told


async def closed_refuses():
    server = await asyncio.start_server(read_to_end, HOST, 0)
    here = address(server)
    server.close()
    await settle()
    return f"serving: {yes(server.is_serving())}, {await connects(*here)}"


async def cancelled_serve_forever():
    server = await asyncio.start_server(read_to_end, HOST, 0)
    serving = asyncio.create_task(server.serve_forever())
    await settle()
    serving.cancel()
    await asyncio.wait([serving])
    return f"serving: {yes(server.is_serving())}"


async def wait_closed():
    server = await asyncio.start_server(read_to_end, HOST, 0)
    _, writer = await asyncio.open_connection(*address(server))
    await settle()
    waiting = asyncio.create_task(server.wait_closed())
    await settle()
    before = waiting.done()
    server.close()
    await settle()
    between = waiting.done()
    writer.close()
    await waiting
    told = f"before close: {yes(before)}, with a connection: {yes(between)}"
    return f"{told}, after it: true"


async def close_keeps_connections():
    async def later(reader, writer):
        await asyncio.sleep(0.1)
        writer.write(b"answer")
        writer.close()

    server = await asyncio.start_server(later, HOST, 0)
    reader, writer = await asyncio.open_connection(*address(server))
    await settle()
    server.close()
    told = (await reader.read()).decode()
    writer.close()
    return told


async def close_clients_written():
    async def answer(_, writer):
        writer.write(b"x" * MUCH)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, HOST, 0)
    reader, writer = await asyncio.open_connection(*address(server), limit=1024)
    await asyncio.sleep(0.1)
    server.close()
    server.close_clients()
    data, end = b"", "the end"
    try:
        while piece := await reader.read(65536):
            data += piece
    except OSError:
        end = "an error"
    writer.close()
    return f"{'all' if len(data) == MUCH else 'not all'}, then {end}"


async def close_clients_finally():
    ran = False

    async def handle(reader, writer):
        nonlocal ran
        await reader.read()
        ran = True
        writer.close()

    server = await asyncio.start_server(handle, HOST, 0)
    _, writer = await asyncio.open_connection(*address(server))
    await settle()
    server.close()
    server.close_clients()
    await server.wait_closed()
    await settle()
    writer.close()
    return f"the line after the read runs: {yes(ran)}"


async def failing_handler():
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)

    async def fail(reader, writer):
        if await reader.readline() == b"fail\n":
            raise ValueError
        writer.write(b"served")
        writer.close()

    server = await asyncio.start_server(fail, HOST, 0)
    _, first = await asyncio.open_connection(*address(server))
    first.write(b"fail\n")
    await settle()
    reader, second = await asyncio.open_connection(*address(server))
    second.write(b"go on\n")
    told = (await reader.read()).decode()
    first.close()
    second.close()
    server.close()
    return f"the next one is {told}"


async def failing_handler_closes():
    async def fail(reader, _):
        await reader.readline()
        raise ValueError

    server = await asyncio.start_server(fail, HOST, 0)
    reader, writer = await asyncio.open_connection(*address(server))
    writer.write(b"fail\n")
    try:
        told = f"{len(await asyncio.wait_for(reader.read(), 0.3))} bytes"
    except TimeoutError:
        told = "nothing"
    writer.close()
    server.close()
    return f"its client gets {told}"


# Addresses.


async def two_hosts():
    server = await asyncio.start_server(read_to_end, [HOST, "127.0.0.2"], 0)
    told = [await connects(*it.getsockname()) for it in server.sockets]
    server.close()
    return ", ".join(told)


async def empty_host():
    try:
        server = await asyncio.start_server(read_to_end, "", 0)
    except OSError:
        return "fails"
    server.close()
    return "serves"


async def in_use():
    server = await asyncio.start_server(read_to_end, HOST, 0)
    try:
        await asyncio.start_server(read_to_end, *address(server))
        told = "taken"
    except OSError:
        told = "in use"
    server.close()
    return told


async def reuse_port():
    first = await asyncio.start_server(read_to_end, HOST, 0, reuse_port=True)
    here = address(first)
    second = await asyncio.start_server(read_to_end, *here, reuse_port=True)
    try:
        await asyncio.start_server(read_to_end, *here)
        told = "taken"
    except OSError:
        told = "in use"
    first.close()
    second.close()
    return f"a second one with it listens, without it: {told}"


async def own_socket():
    listener = socket.create_server((HOST, 0))
    server = await asyncio.start_server(read_to_end, sock=listener)
    told = await connects(*address(server))
    server.close()
    return told


async def service_name():
    try:
        found = await asyncio.get_running_loop().getaddrinfo(HOST, "http")
        return f"port {found[0][4][1]}"
    except OSError:
        return "fails"


async def connect_refused():
    with socket.socket() as closed:
        closed.bind((HOST, 0))
        return await connects(*closed.getsockname())


async def local_address():
    server = await asyncio.start_server(read_to_end, HOST, 0)
    with socket.socket() as other:
        other.bind((HOST, 0))
        port = other.getsockname()[1]
    _, writer = await asyncio.open_connection(*address(server), local_addr=(HOST, port))
    same = writer.get_extra_info("sockname")[1] == port
    writer.close()
    server.close()
    return f"the same port: {yes(same)}"


async def local_address_in_use():
    server = await asyncio.start_server(read_to_end, HOST, 0)
    here = address(server)
    try:
        await asyncio.open_connection(*here, local_addr=here)
        told = "connected"
    except OSError:
        told = "in use"
    server.close()
    return told


async def cancelled_accept():
    loop = asyncio.get_running_loop()
    listener = socket.create_server((HOST, 0))
    listener.setblocking(False)
    with listener:
        try:
            await asyncio.wait_for(loop.sock_accept(listener), 0.05)
        except TimeoutError:
            pass
        client = socket.create_connection(listener.getsockname())
        accepted, _ = await loop.sock_accept(listener)
        accepted.close()
        client.close()
    return "the next client is accepted"


# Unix sockets.


async def unix_serves():
    server = await asyncio.start_unix_server(read_to_end, path("serves"))
    _, writer = await asyncio.open_unix_connection(path("serves"))
    writer.close()
    await settle()
    server.close()
    return "connected"


async def unix_leaves_file(name):
    server = await asyncio.start_unix_server(read_to_end, path(name))
    server.close()
    await settle()
    return f"the file is there: {yes(os.path.exists(path(name)))}"


async def unix_stale(name):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path(name))
    try:
        server = await asyncio.start_unix_server(read_to_end, path(name))
    except OSError:
        return "in use"
    server.close()
    return "replaced"


async def unix_other_file():
    Path(path("other")).write_text("data")
    try:
        await asyncio.start_unix_server(read_to_end, path("other"))
        told = "replaced"
    except OSError:
        told = "in use"
    return f"{told}, the file holds {Path(path('other')).read_text()}"


async def unix_replaced():
    server = await asyncio.start_unix_server(read_to_end, path("replaced"))
    os.remove(path("replaced"))
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path("replaced"))
        server.close()
        await settle()
        return f"the other's file is there: {yes(os.path.exists(path('replaced')))}"


async def unix_no_folder():
    try:
        await asyncio.start_unix_server(read_to_end, path("none/x"))
        return "serves"
    except FileNotFoundError:
        return "not found"


async def unix_abstract():
    name = f"\0contract-{os.getpid()}"
    server = await asyncio.start_unix_server(read_to_end, name)
    _, writer = await asyncio.open_unix_connection(name)
    writer.close()
    await settle()
    server.close()
    return "connected"


# Sockets by hand.


async def cancelled_recv():
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        got = 0
        for _ in range(50):
            try:
                got += len(await asyncio.wait_for(loop.sock_recv(ours, 100), 0.0005))
            except TimeoutError:
                pass
            theirs.send(b"x")
        while got < 50:
            got += len(await loop.sock_recv(ours, 100))
    return f"{got} of 50 bytes"


async def sendall_much():
    return f"{await sendall(MUCH)} bytes"


async def writelines():
    (_, writer), (reader, peer) = await pair()
    writer.writelines([b"one", b"two"])
    writer.close()
    told = (await reader.read()).decode()
    peer.close()
    return told


async def adopted():
    listener = socket.create_server((HOST, 0))
    client = socket.create_connection(listener.getsockname())
    accepted, _ = listener.accept()
    listener.close()
    reader, writer = await asyncio.open_connection(sock=accepted)
    client.sendall(b"hello")
    client.close()
    told = (await reader.read()).decode()
    writer.close()
    return told


async def datagram_socket_as_stream():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        try:
            await asyncio.open_connection(sock=plain)
            return "accepted"
        except ValueError:
            return "refused"


async def reader_callback():
    loop, told = asyncio.get_running_loop(), asyncio.Queue()
    ours, theirs = socket.socketpair()
    with ours:
        ours.setblocking(False)
        loop.add_reader(ours, lambda: told.put_nowait(ours.recv(100).decode()))
        theirs.send(b"abc")
        first = await told.get()
        theirs.send(b"def")
        theirs.close()
        second = await told.get()
        end = await told.get()
        loop.remove_reader(ours)
    return f'{first}, {second}, and "{end}" at the end'


async def two_readers():
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        called = [0, 0]

        def read(number):
            ours.recv(100)
            called[number] += 1

        loop.add_reader(ours, read, 0)
        loop.add_reader(ours, read, 1)
        for _ in range(20):
            theirs.send(b"x")
            await asyncio.sleep(0.005)
        loop.remove_reader(ours)
    return f"the first is called: {yes(called[0] > 0)}"


async def removed_reader():
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        called = 0

        def read():
            nonlocal called
            called += 1
            ours.recv(100)

        loop.add_reader(ours, read)
        loop.remove_reader(ours)
        theirs.send(b"later")
        await settle()
        data = await loop.sock_recv(ours, 100)
    return f"called {called} times, {data.decode()} is left"


async def send_file(count):
    with open(path(f"file-{count}"), "w+b") as file:
        file.write(b"x" * 100_000)
        (_, writer), (reader, peer) = await pair()
        writer.write(b"pre")
        reading = asyncio.create_task(reader.read())
        loop = asyncio.get_running_loop()
        sent = await loop.sendfile(writer.transport, file, 1000, count)
        writer.write(b"post")
        writer.close()
        got = len(await reading)
        peer.close()
        return f"{sent} of the file, {got} in all, the file is at {file.tell()}"


# Protocols.


async def change_protocol():
    got = []

    class Tls(asyncio.Protocol):
        def data_received(self, data):
            got.append(data)

    class Plain(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            assert data.startswith(b"STARTTLS\r\n")
            self.transport.set_protocol(Tls())

    loop = asyncio.get_running_loop()
    server = await loop.create_server(Plain, HOST, 0)
    _, writer = await asyncio.open_connection(*address(server))
    writer.write(b"STARTTLS\r\nMAIL FROM:<mallory>\r\n")
    await settle()
    writer.write(b"EHLO\r\n")
    await settle()
    writer.close()
    server.close()
    return f"the new one gets {b''.join(got).decode().split()[0]} first"


async def eof_received():
    class Answer(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            asyncio.get_running_loop().call_later(0.1, self.answer)

        def answer(self):
            self.transport.write(b"answer")
            self.transport.close()

    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answer, HOST, 0)
    reader, writer = await asyncio.open_connection(*address(server))
    writer.write(b"question")
    writer.write_eof()
    count = len(await reader.read())
    writer.close()
    server.close()
    return f"the client gets {count} bytes after its end"


def probes():
    yield "server.start.serves", serves()
    yield "server.start_serving.later", start_later()
    yield "server.start_serving.bound-is-not-reserved", two_are_bound()
    yield "server.close.refuses-clients", closed_refuses()
    yield "server.serve_forever.cancel-closes", cancelled_serve_forever()
    yield "server.wait_closed.waits-for-connections", wait_closed()
    yield "server.close.keeps-connections", close_keeps_connections()
    yield "server.close_clients.delivers-written", close_clients_written()
    yield "server.close_clients.handler-sees-end", close_clients_finally()
    yield "server.handler.failure-ends-it-alone", failing_handler()
    yield "server.handler.failure-closes", failing_handler_closes()
    for counterpart in ["", "@servers"]:
        yield f"server.host.listens-on-each{counterpart}", two_hosts()
    yield "server.host.empty-is-all", empty_host()
    yield "server.port.in-use", in_use()
    yield "server.reuse_port.two-listen", reuse_port()
    yield "server.sock.own-socket", own_socket()
    yield "connect.port.service-name", service_name()
    yield "connect.refused.raises", connect_refused()
    yield "connect.local_addr.binds-first", local_address()
    yield "connect.local_addr.in-use", local_address_in_use()
    yield "sock_accept.cancelled-loses-nobody", cancelled_accept()
    yield "unix.server.serves", unix_serves()
    for counterpart in ["", "@unix_socket"]:
        clause = f"unix.server.close-removes-file{counterpart}"
        yield clause, unix_leaves_file(f"leaves{counterpart}")
    for counterpart in ["", "@unix_socket"]:
        clause = f"unix.server.replaces-stale-file{counterpart}"
        yield clause, unix_stale(f"stale{counterpart}")
    yield "unix.server.keeps-other-file", unix_other_file()
    yield "unix.server.keeps-file-of-another@unix_socket", unix_replaced()
    yield "unix.server.no-folder", unix_no_folder()
    yield "unix.server.abstract-name", unix_abstract()
    yield "sock_recv.cancelled-loses-nothing", cancelled_recv()
    yield "sock_sendall.sends-much", sendall_much()
    yield "stream.writelines.in-order", writelines()
    yield "connect_accepted_socket.adopts", adopted()
    yield "connect.sock.datagram-refused", datagram_socket_as_stream()
    yield "add_reader.data-and-end", reader_callback()
    yield "add_reader.second-replaces-first", two_readers()
    yield "remove_reader.not-called-after", removed_reader()
    yield "sendfile.offset-and-count", send_file(5000)
    yield "sendfile.to-end", send_file(None)
    for counterpart in ["", "@into_inner"]:
        yield f"set_protocol.old-data-stays{counterpart}", change_protocol()
    yield "protocol.eof_received.closes", eof_received()


run_together(probes, 3)
