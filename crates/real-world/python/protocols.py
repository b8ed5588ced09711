import asyncio
import socket
import struct

PIECE = 500_000

# What the system holds of a connection is far less than a piece.
SYSTEM_BUFFER = 50_000


CONNECTIONS = 10
IDLE = 5


class Echo(asyncio.Protocol):
    """Sends back what comes, and what others write."""

    made = 0
    open = 0

    def __init__(self, connections):
        self.connections = connections
        self.loop = asyncio.get_running_loop()
        self.lost = self.loop.create_future()
        self.paused = False
        self.refused = False

    def wait(self):
        """Ends the connection if nothing happens for a while."""
        self.timer = self.loop.call_later(IDLE, self.transport.abort)

    def go_on(self):
        self.timer.cancel()
        self.wait()

    def connection_made(self, transport):
        Echo.open += 1
        if Echo.open > CONNECTIONS:
            self.refused = True
            transport.abort()
            return
        Echo.made += 1
        self.number = Echo.made
        self.transport = transport
        # Two pieces, and most of a third, which is being written.
        transport.set_write_buffer_limits(high=1_100_000)
        self.wait()
        # None, if the client has reset the connection already.
        host, _ = transport.get_extra_info("peername") or ("unknown", 0)
        print(f"connection {self.number} is made by {host}")
        self.connections.put_nowait(self)

    def data_received(self, data):
        self.go_on()
        self.transport.write(data)

    def eof_received(self):
        self.go_on()
        print(f"connection {self.number} has sent all")
        self.transport.write(b"bye")
        # The transport closes itself, after what waits is written.
        return False

    def connection_lost(self, error):
        Echo.open -= 1
        if self.refused:
            return
        self.timer.cancel()
        if error is None:
            print(f"connection {self.number} is lost")
        elif isinstance(error, ConnectionResetError):
            print(f"connection {self.number} is lost: connection reset")
        else:
            print(f"connection {self.number} is lost: {error}")
        self.lost.set_result(None)

    def pause_writing(self):
        self.paused = True
        # Without this the answers to a client that does not read fill the memory.
        self.transport.pause_reading()

    def resume_writing(self):
        self.paused = False
        self.go_on()
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def write(self, data):
        if self.paused or self.transport.is_closing():
            return False
        self.transport.write(data)
        return True

    def waiting(self):
        """How many pieces wait to be written, next to the one that is being written."""
        return self.transport.get_write_buffer_size() // PIECE


class Client(asyncio.Protocol):
    def __init__(self):
        self.data = bytearray()
        self.ended = False
        self.news = asyncio.Event()
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.data += data
        self.news.set()

    def eof_received(self):
        self.ended = True
        self.news.set()
        # The transport stays open, to be closed by who reads.
        return True

    def pause_writing(self):
        self.writable.clear()

    def resume_writing(self):
        self.writable.set()

    async def read(self, size):
        """So many bytes, or all to the end if that comes before."""
        while len(self.data) < size and not self.ended:
            self.news.clear()
            await self.news.wait()
        data = bytes(self.data[:size])
        del self.data[:size]
        return data

    async def rest(self):
        data = await self.read(100 * PIECE)
        self.transport.close()
        return data


async def connect(address):
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SYSTEM_BUFFER)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SYSTEM_BUFFER)
    await loop.sock_connect(sock, address)
    _, client = await loop.create_connection(Client, sock=sock)
    return client


def report(name, data):
    if len(data) < 100:
        print(f"{name} got {data.decode()} ({len(data)} bytes)")
    else:
        print(f"{name} got {len(data)} bytes")


async def main():
    loop = asyncio.get_running_loop()
    first = loop.time() + 0.2

    async def part(number):
        await asyncio.sleep(first + number * 1.0 - loop.time())

    tenth = 0.1
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SYSTEM_BUFFER)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SYSTEM_BUFFER)
    sock.bind(("127.0.0.1", 0))
    address = sock.getsockname()
    connections = asyncio.Queue()
    server = await loop.create_server(lambda: Echo(connections), sock=sock)

    await part(0)
    print("From its beginning to its end:")
    client = await connect(address)
    connection = await connections.get()
    client.transport.write(b"hello ")
    await asyncio.sleep(tenth)
    client.transport.write_eof()
    report("the client", await client.rest())
    await connection.lost

    await part(1)
    print("Others write half a megabyte each 0.1 s, and the client reads late:")
    client = await connect(address)
    client.transport.pause_reading()
    connection = await connections.get()

    async def read_late():
        await asyncio.sleep(tenth * 9 / 2)
        print("the client begins to read")
        client.transport.resume_reading()
        report("the client", await client.rest())

    reader = asyncio.create_task(read_late())
    start = loop.time()
    for number in range(1, 7):
        await asyncio.sleep(start + (number - 1) * tenth - loop.time())
        if connection.write(b"x" * PIECE):
            print(f"{number} is written")
        else:
            print(f"{number} is dropped, as {connection.waiting()} wait")
    connection.transport.close()
    if connection.transport.is_closing() and not connection.write(b"x"):
        print("closing: nothing more is taken")
    await reader
    await connection.lost

    await part(2)
    print("The client writes 2.5 megabytes, and reads late:")
    client = await connect(address)
    client.transport.pause_reading()
    connection = await connections.get()
    client.transport.write(b"y" * 5 * PIECE)
    try:
        async with asyncio.timeout(2 * tenth):
            await client.writable.wait()
    except TimeoutError:
        print("the client has to wait until the server reads on")
    client.transport.resume_reading()
    report("the client", await client.read(5 * PIECE))
    client.transport.close()
    await connection.lost

    await part(3)
    print("A client that vanishes:")
    client = await connect(address)
    connection = await connections.get()
    client.transport.write(b"hello")
    await client.read(5)
    sock = client.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.transport.abort()
    await connection.lost

    await part(4)
    print("Aborted while half a megabyte is being written:")
    client = await connect(address)
    client.transport.pause_reading()
    connection = await connections.get()
    connection.write(b"x" * PIECE)
    await asyncio.sleep(tenth)
    connection.transport.abort()
    await connection.lost
    client.transport.resume_reading()
    if len(await client.rest()) < PIECE:
        print("the client got a part and the end")
    server.close()


asyncio.run(main())
