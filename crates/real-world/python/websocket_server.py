# /// script
# requires-python = ">=3.11"
# dependencies = ["websockets"]
# ///
import asyncio
import contextlib
import dataclasses
import http
import logging
import socket

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    InvalidStatus,
)


@dataclasses.dataclass
class Limits:
    connections: int
    joining: float
    message: int
    queue: int
    pace: float
    ping: float
    pong: float
    closing: float


@dataclasses.dataclass
class Member:
    connection: ServerConnection
    queue: asyncio.Queue[str]
    too_slow: bool = False

    def why_closed(self, error):
        if self.too_slow:
            return "was too slow"
        match error.sent and error.sent.code:
            case 1009:
                return "sent too much at once"
            case 1011:
                return "gave no sign of life"
        return "was cut off"

    async def send(self):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self.connection.send(await self.queue.get())


class Room:
    def __init__(self, limits):
        self.limits = limits
        self.members = {}

    def tell(self, text):
        for member in self.members.values():
            try:
                member.queue.put_nowait(text)
            except asyncio.QueueFull:
                member.too_slow = True
                member.connection.transport.abort()

    def refuse(self, connection, request):
        """Answers 503 if there are too many: the library has no limit."""
        if len(connection.server.connections) >= self.limits.connections:
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "full\n")

    async def serve_client(self, connection):
        try:
            async with asyncio.timeout(self.limits.joining):
                name = await connection.recv(decode=True)
        except (TimeoutError, ConnectionClosed):
            return
        if not (name.isalnum() and len(name) <= 20):
            await connection.close(1008, "not a name")
        elif name in self.members:
            await connection.close(1008, "the name is taken")
        else:
            member = Member(connection, asyncio.Queue(self.limits.queue))
            await self.take_part(name, member)

    async def take_part(self, name, member):
        self.members[name] = member
        self.tell(f"{name} joined")
        writer = asyncio.create_task(member.send())
        end = "was cut off"
        try:
            async for text in member.connection:
                # A line break could pass for another member's message.
                self.tell(f"{name}: {' '.join(text.splitlines())}")
                # The queues must not be full before one member had time to read.
                await asyncio.sleep(self.limits.pace)
            end = "left"
        except ConnectionClosedError as error:
            end = member.why_closed(error)
        finally:
            writer.cancel()
            del self.members[name]
            self.tell(f"{name} {end}")

    @contextlib.asynccontextmanager
    async def serve(self, listener):
        # The library logs each handshake that fails.
        logging.getLogger("websockets").addHandler(logging.NullHandler())
        async with serve(
            self.serve_client,
            sock=listener,
            process_request=self.refuse,
            compression=None,
            # A client that is no browser sends none.
            origins=["https://chat.example", None],
            open_timeout=self.limits.joining,
            max_size=self.limits.message,
            ping_interval=self.limits.ping,
            ping_timeout=self.limits.pong,
            close_timeout=self.limits.closing,
        ) as server:
            yield server


def tcp_socket():
    # Only with the protocol named does asyncio send small messages without delay.
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)


async def enter(server, name):
    """Connects, with a small buffer for what comes, and says the name."""
    stream = tcp_socket()
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    stream.setblocking(False)
    await asyncio.get_running_loop().sock_connect(stream, server)
    connection = await connect(
        "ws://127.0.0.1/",
        sock=stream,
        compression=None,
        ping_interval=None,
        close_timeout=0,
    )
    await connection.send(name)
    return connection


async def enter_and_not_read(server, name):
    connection = await enter(server, name)
    connection.transport.pause_reading()
    return connection


class Client:
    def __init__(self, name, connection):
        self.name = name
        self.connection = connection
        self.say = connection.send
        self.close = connection.close

    @classmethod
    async def join(cls, server, name):
        return cls(name, await enter(server, name))

    async def hear(self):
        try:
            text = await self.connection.recv()
        except ConnectionClosed as closed:
            text = f"({closed.rcvd.code})"
        match text.split(": "):
            case [who, said] if len(said) > 20:
                print(f"{self.name} hears {who}: {len(said)} bytes")
            case _:
                print(f"{self.name} hears {text}")


# For what the system keeps of a connection; far less than the longest message.
BUFFER = 16 * 1024


def listen():
    listener = tcp_socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    listener.bind(("127.0.0.1", 0))
    listener.listen(16)
    return listener


async def main():
    limits = Limits(
        connections=10,
        joining=1,
        message=256 * 1024,
        queue=3,
        pace=0.01,
        ping=0.3,
        pong=0.7,
        closing=1,
    )
    longest = "x" * limits.message
    room = Room(limits)
    listener = listen()
    server = listener.getsockname()
    async with room.serve(listener) as serving:

        print("Two clients join; a name in use and an invalid name are refused:")
        ana = await Client.join(server, "ana")
        await ana.hear()
        ben = await Client.join(server, "ben")
        await ana.hear()
        await ben.hear()
        for name in ["ana", "ana: I"]:
            await (await Client.join(server, name)).hear()

        print("All hear it; one leaves:")
        await ben.say("hello")
        await ana.hear()
        await ben.hear()
        await ben.close()
        await ana.hear()

        print("The longest message, and one byte more:")
        carl = await Client.join(server, "carl")
        await ana.hear()
        await carl.hear()
        await carl.say(longest)
        await ana.hear()
        await carl.hear()
        await carl.say(longest + "x")
        await carl.hear()
        await ana.hear()

        print("Dan does not read; one message is on its way, and three wait:")
        dan = await enter_and_not_read(server, "dan")
        await ana.hear()
        for _ in range(5):
            await asyncio.sleep(0.1)
            await ana.say(longest)
            await ana.hear()
        await ana.hear()
        dan.transport.abort()

        print("A page of another site may not connect:")
        try:
            await connect("ws://{}:{}/".format(*server), origin="https://evil.example")
        except InvalidStatus as refused:
            print(f"status {refused.response.status_code}")

        print("Eve answers no ping, and the request of another never ends:")
        eve = await enter_and_not_read(server, "eve")
        await ana.hear()
        reader, writer = await asyncio.open_connection(*server)
        writer.write(b"GET / HTTP/1.1\r\n")
        await reader.read()
        print("the other is cut off")
        writer.close()
        await ana.hear()
        eve.transport.abort()

        print("The server stops, and Fay does not answer:")
        fay = await enter_and_not_read(server, "fay")
        await ana.hear()
        serving.close(code=1001, reason="the server stops")
        await ana.hear()
        await serving.wait_closed()
        print("all connections are closed")
        fay.transport.abort()


asyncio.run(main())
