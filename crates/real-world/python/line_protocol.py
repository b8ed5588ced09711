import asyncio
import dataclasses
import itertools
import socket


class Failure(Exception):
    pass


class Stalled(Failure):
    pass


@dataclasses.dataclass(frozen=True)
class Limits:
    connections: int
    line: int
    names: int
    idle: float
    write: float


class Server:
    """Keeps values by name: `SET name value`, `GET name`, `QUIT`."""

    def __init__(self, limits, stop):
        self.limits = limits
        self.stop = stop
        self.store = {}

    async def serve(self, listener):
        permits = asyncio.Semaphore(self.limits.connections)
        connections = set()
        numbers = itertools.count(1)

        async def handle(reader, writer):
            async with permits:
                number = next(numbers)
                try:
                    await self.talk(reader, writer)
                except (Stalled, OSError) as failure:
                    print(f"connection {number}: {failure}")
                except asyncio.CancelledError:
                    # The server stops: what was answered is still sent.
                    writer.close()
                    raise
                finally:
                    if not writer.is_closing():
                        # `close` would wait until all is sent, which may be never.
                        writer.transport.abort()

        def connected(reader, writer):
            # Python 3.11 logs an error if a coroutine is the callback and is cancelled.
            task = asyncio.create_task(handle(reader, writer))
            connections.add(task)
            task.add_done_callback(connections.discard)

        server = await asyncio.start_server(
            connected, sock=listener, limit=self.limits.line
        )
        await self.stop.wait()
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def talk(self, reader, writer):
        try:
            await self.answer_all(reader, writer)
        except Stalled:
            raise
        except Failure as failure:
            await self.send(writer, f"ERR {failure}")
        await self.hang_up(reader, writer)

    async def answer_all(self, reader, writer):
        while (line := await self.next_line(reader)) is not None:
            if line.strip() == b"QUIT":
                await self.send(writer, "BYE")
                return
            await self.send(writer, self.answer(line))

    async def next_line(self, reader):
        """A line, or none at the end."""
        idle = self.limits.idle
        try:
            async with asyncio.timeout(idle):
                return await reader.readuntil()
        except TimeoutError as error:
            raise Failure(f"no line in {idle * 1000:.0f}ms") from error
        except asyncio.LimitOverrunError as error:
            raise Failure("line too long") from error
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise Failure("the last line has no end") from error
            return None

    def answer(self, line):
        try:
            words = line.decode().split()
        except UnicodeDecodeError:
            return "ERR not UTF-8"
        match words:
            case ["SET", name, _] if self.is_full() and name not in self.store:
                return "ERR the store is full"
            case ["SET", name, value]:
                self.store[name] = value
                return "OK"
            case ["GET", name] if name in self.store:
                return f"VALUE {self.store[name]}"
            case ["GET", _]:
                return "NONE"
            case _:
                return "ERR no such command"

    def is_full(self):
        return len(self.store) >= self.limits.names

    async def send(self, writer, line):
        try:
            async with asyncio.timeout(self.limits.write):
                writer.write(f"{line}\n".encode())
                await writer.drain()
        except TimeoutError as error:
            raise Stalled("the client does not read") from error

    async def hang_up(self, reader, writer):
        """Says that no more comes, and lets the client read to the end."""
        try:
            async with asyncio.timeout(self.limits.write):
                writer.write_eof()
                while not reader.at_eof():
                    await reader.read(65_536)
        except OSError:
            pass
        writer.close()


class Client:
    @classmethod
    async def connect(cls, address):
        client = cls()
        client.reader, client.writer = await asyncio.open_connection(*address)
        return client

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def print(self, count):
        for _ in range(count):
            line = await self.reader.readline()
            print(line.decode().rstrip() or "the end")

    def close(self):
        self.writer.close()


async def main():
    loop = asyncio.get_running_loop()
    first = loop.time() + 0.2

    async def part(number):
        await asyncio.sleep(first + number * 0.5 - loop.time())

    pause = 0.1
    limits = Limits(connections=10, line=1000, names=1000, idle=0.4, write=0.3)
    listener = socket.socket()
    # The system holds so much for a client that does not read.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 262_144)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    address = listener.getsockname()
    stop = asyncio.Event()
    server = asyncio.create_task(Server(limits, stop).serve(listener))

    await part(0)
    print("Two lines in three pieces:")
    client = await Client.connect(address)
    await client.send(b"SE")
    await asyncio.sleep(pause)
    await client.send(b"T a 10\nGE")
    await client.print(1)
    await asyncio.sleep(pause)
    await client.send(b"T a\n")
    await client.print(1)
    client.close()

    await part(1)
    print("Four lines in one piece:")
    client = await Client.connect(address)
    client.writer.writelines([b"GET a\n", b"GET \xff\n", b"PUT a 2\r\n", b"QUIT\n"])
    await client.writer.drain()
    await client.print(5)
    client.close()

    await part(2)
    print("A line of 1000 bytes, and one of 1001:")
    client = await Client.connect(address)
    await client.send(b"SET b %s\n" % (b"x" * 994))
    await client.print(1)
    await client.send(b"SET b %s\n" % (b"x" * 995))
    await client.print(2)
    client.close()

    await part(3)
    print("A last line without its end:")
    client = await Client.connect(address)
    await client.send(b"GET a\nSET a 1")
    client.writer.write_eof()
    await client.print(3)
    client.close()

    await part(4)
    print("Half a line, and then nothing:")
    client = await Client.connect(address)
    await client.send(b"GET ")
    await client.print(2)
    client.close()

    await part(5)
    print("A client that does not read:")
    client = await Client.connect(address)
    client.writer.transport.pause_reading()
    await client.send(b"GET b\n" * 2000)

    await part(6)
    client.close()
    print("The server stops:")
    client = await Client.connect(address)
    await client.send(b"GET a\nGET")
    await client.print(1)
    stop.set()
    await client.print(1)
    client.close()
    await server
    print("all connections have ended")


asyncio.run(main())
