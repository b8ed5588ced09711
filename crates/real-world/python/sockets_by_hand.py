import asyncio
import socket

ANY = ("127.0.0.1", 0)


def tcp():
    sock = socket.socket()
    sock.setblocking(False)
    return sock


def udp():
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind(ANY)
    return sock


def listen(address, reuse):
    sock = tcp()
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        sock.bind(address)
        sock.listen(128)
    except OSError:
        sock.close()
        raise
    return sock


async def connect(address, send_buffer):
    sock = tcp()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    await asyncio.get_running_loop().sock_connect(sock, address)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
    return sock


class Answer(asyncio.Protocol):
    """Sends back the first piece that comes, in capital letters, and closes."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data.upper())
        self.transport.close()


async def answer(sock):
    loop = asyncio.get_running_loop()
    with sock:
        data = await loop.sock_recv(sock, 100)
        await loop.sock_sendall(sock, data.upper())


async def ask(sock, text):
    loop = asyncio.get_running_loop()
    with sock:
        await loop.sock_sendall(sock, text.encode())
        buffer = bytearray(100)
        filled = 0
        while size := await loop.sock_recv_into(sock, memoryview(buffer)[filled:]):
            filled += size
        print(f"got {buffer[:filled].decode()}")


async def serve_one(listener):
    loop = asyncio.get_running_loop()
    sock, _ = await loop.sock_accept(listener)
    await answer(sock)


async def pair(send_buffer):
    loop = asyncio.get_running_loop()
    with listen(ANY, reuse=True) as listener:
        client = await connect(listener.getsockname(), send_buffer)
        server, _ = await loop.sock_accept(listener)
    return client, server


async def send(sock, data):
    """Writes while there is room."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    view = memoryview(data)

    def write():
        nonlocal view
        try:
            view = view[sock.send(view) :]
        except BlockingIOError:
            return
        except OSError as error:
            loop.remove_writer(sock)
            done.set_exception(error)
            return
        if not view:
            loop.remove_writer(sock)
            done.set_result(None)

    loop.add_writer(sock, write)
    await done


async def main():
    loop = asyncio.get_running_loop()
    first = loop.time() + 0.2

    async def part(number):
        await asyncio.sleep(first + number * 0.6 - loop.time())

    tenth = 0.1

    await part(0)
    print("A server and a client with options of their own:")
    listener = listen(ANY, reuse=True)
    address = listener.getsockname()
    client = await connect(address, 50_000)
    nodelay = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    print(f"the client sends at once: {str(nodelay != 0).lower()}")
    await asyncio.gather(serve_one(listener), ask(client, "hello"))

    await part(1)
    print("The server begins anew on its port:")
    listener.close()
    for reuse in [False, True]:
        try:
            listen(address, reuse).close()
            print(f"reuse the address, {str(reuse).lower()}: listening")
        except OSError:
            print(f"reuse the address, {str(reuse).lower()}: address in use")
    server = await loop.create_server(Answer, *address)
    server.close()
    print("with the default options of TcpListener: listening")

    await part(2)
    print("A connection that other code has accepted:")
    with socket.create_server(ANY) as listener:
        accepting = asyncio.create_task(asyncio.to_thread(listener.accept))
        client = await connect(listener.getsockname(), 50_000)
        accepted, _ = await accepting
    await loop.connect_accepted_socket(Answer, accepted)
    await ask(client, "adopted")

    await part(3)
    print("Called back with what can be read, for 0.25 s:")
    client, server = await pair(50_000)

    def readable():
        data = server.recv(4096)
        print(f"called with {data.decode()}")

    loop.add_reader(server, readable)
    for text in ["one", "two"]:
        await asyncio.sleep(tenth)
        await loop.sock_sendall(client, text.encode())
    await asyncio.sleep(tenth / 2)
    loop.remove_reader(server)
    await asyncio.sleep(tenth / 2)
    await loop.sock_sendall(client, b"three")
    await asyncio.sleep(tenth)
    data = await loop.sock_recv(server, 100)
    print(f"read without a callback: {data.decode()}")
    client.close()
    server.close()

    await part(4)
    print("Written while there is room, and the other side reads late:")
    client, server = await pair(50_000)

    async def sending():
        # More than the system takes of anybody who does not read.
        await send(client, b"x" * 2_000_000)
        print("all is written")
        client.close()

    async def reading():
        await asyncio.sleep(2 * tenth)
        print("the other side begins to read")
        size = 0
        while data := await loop.sock_recv(server, 65_536):
            size += len(data)
        print(f"it got {size} bytes")
        server.close()

    await asyncio.gather(sending(), reading())

    await part(5)
    print("Datagrams:")
    with udp() as a, udp() as b:
        await loop.sock_sendto(a, b"ping", b.getsockname())
        data, sender = await loop.sock_recvfrom(b, 100)
        print(f"b got {data.decode()}")
        await loop.sock_sendto(b, b"pong", sender)
        data, _ = await loop.sock_recvfrom(a, 100)
        print(f"a got {data.decode()}")


asyncio.run(main())
