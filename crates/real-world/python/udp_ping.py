import asyncio
import contextlib
import socket


class Lost(Exception):
    pass


class Pinger(asyncio.DatagramProtocol):
    """Sends numbers to a server, which sends them back, one at a time."""

    def __init__(self, limit, attempts):
        self.limit = limit
        self.attempts = attempts
        self.number = 0
        self.answer = asyncio.get_running_loop().create_future()

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(cls, server, limit, attempts):
        loop = asyncio.get_running_loop()
        transport, pinger = await loop.create_datagram_endpoint(
            lambda: cls(limit, attempts), remote_addr=server
        )
        try:
            yield pinger
        finally:
            transport.close()

    def connection_made(self, transport):
        self.transport = transport

    async def ping(self):
        self.number += 1
        for attempt in range(1, self.attempts + 1):
            self.answer = asyncio.get_running_loop().create_future()
            self.transport.sendto(self.number.to_bytes(4))
            try:
                async with asyncio.timeout(self.limit):
                    await self.answer
                return self.number, attempt
            except TimeoutError:
                pass
        raise Lost(f"no answer, attempts: {self.attempts}")

    def datagram_received(self, data, address):
        if data == self.number.to_bytes(4) and not self.answer.done():
            self.answer.set_result(None)

    def error_received(self, error):
        if not self.answer.done():
            self.answer.set_exception(error)


async def careless_ping(udp, number, limit):
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(udp, number.to_bytes(4))
    try:
        async with asyncio.timeout(limit):
            answer = await loop.sock_recv(udp, 4)
        print(f"ping {number}: answer {int.from_bytes(answer)}")
    except TimeoutError:
        print(f"ping {number}: no answer")


class Server(asyncio.DatagramProtocol):
    """Sends back what comes, as `fate` says."""

    def __init__(self, fate):
        self.fate = fate
        self.count = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls, fate):
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: cls(fate), local_addr=("127.0.0.1", 0)
        )
        try:
            yield transport.get_extra_info("sockname")
        finally:
            transport.abort()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.count += 1
        loop = asyncio.get_running_loop()
        for seconds in self.fate(self.count):
            loop.call_later(seconds, self.send_back, data, address)

    def send_back(self, data, address):
        if not self.transport.is_closing():
            self.transport.sendto(data, address)


def every_third_is_lost(count):
    return [] if count % 3 == 0 else [0]


def late_and_twice(count):
    return [1.6, 1.8] if count == 1 else [0.8]


async def report(pinger, count):
    for _ in range(count):
        try:
            number, attempt = await pinger.ping()
            print(f"ping {number}: attempt {attempt}")
        except Lost as error:
            print(error)
        except ConnectionRefusedError:
            print("connection refused")


@contextlib.contextmanager
def bound(connected_to=None):
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.setblocking(False)
        udp.bind(("127.0.0.1", 0))
        if connected_to is not None:
            udp.connect(connected_to)
        yield udp


async def main():
    loop = asyncio.get_running_loop()
    short, long = 0.6, 1.2

    print("Every third datagram is lost, and there are two attempts:")
    async with Server.start(every_third_is_lost) as server:
        async with Pinger.connect(server, short, 2) as pinger:
            await report(pinger, 6)

    print("A late and doubled answer; the client does not check the number:")
    async with Server.start(late_and_twice) as server:
        with bound(connected_to=server) as udp:
            for number in range(1, 5):
                await careless_ping(udp, number, long)

    print("The same with a look at the number:")
    async with Server.start(late_and_twice) as server:
        async with Pinger.connect(server, long, 1) as pinger:
            await report(pinger, 3)

    print("A buffer of four bytes:")
    with bound() as sender, bound() as receiver:
        for text in ["four", "or more", "next"]:
            to = receiver.getsockname()
            await loop.sock_sendto(sender, text.encode(), to)
        for _ in range(3):
            data = await loop.sock_recv(receiver, 4)
            print(f"got {data.decode()}")

    print("Nobody listens:")
    # It takes datagrams from itself alone, and nobody else can have its port.
    with bound() as closed:
        nobody = closed.getsockname()
        closed.connect(nobody)
        async with Pinger.connect(nobody, short, 2) as pinger:
            await report(pinger, 1)

        print("Nobody listens, and the socket is not connected:")
        with bound() as udp:
            await loop.sock_sendto(udp, b"ping", nobody)
            try:
                async with asyncio.timeout(short):
                    await loop.sock_recvfrom(udp, 4)
            except TimeoutError:
                print("no answer")


asyncio.run(main())
