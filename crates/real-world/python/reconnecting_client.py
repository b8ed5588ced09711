import asyncio
import collections
import struct
from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    connect: float
    request: float
    ping: float
    silence: float
    initial_backoff: float
    max_backoff: float
    jitter: collections.abc.Callable[[float], float]
    frame: int
    waiting: int


class NotSent(Exception):
    pass


class MaybeDone(Exception):
    pass


LENGTH = struct.Struct("!I")


def write_frame(writer, text):
    data = text.encode()
    writer.write(LENGTH.pack(len(data)) + data)


async def read_frame(reader, most):
    (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
    if length > most:
        raise ConnectionError("a frame is too large")
    return (await reader.readexactly(length)).decode(errors="replace")


class Client:
    """A client that always tries to have a connection. `run` is its task."""

    def __init__(self, config, connect):
        self.config = config
        self.connect = connect
        self.events = asyncio.Queue(config.waiting)
        self.room = asyncio.Semaphore(config.waiting)
        self.connected = asyncio.Event()
        self.writer = None
        self.callers = collections.deque()
        self.number = 0

    async def run(self):
        backoff = self.config.initial_backoff
        while True:
            answered = False

            def has_answered():
                nonlocal answered
                answered = True

            try:
                async with asyncio.timeout(self.config.connect):
                    reader, writer = await self.connect()
                try:
                    await self.talk(reader, writer, has_answered)
                finally:
                    writer.transport.abort()
            except* asyncio.IncompleteReadError:
                why = "unexpected end of file"
            except* TimeoutError:
                why = "timed out"
            except* ConnectionRefusedError:
                why = "connection refused"
            except* OSError as group:
                why = str(group.exceptions[0])
            if answered:
                backoff = self.config.initial_backoff
            pause = self.config.jitter(min(backoff, self.config.max_backoff))
            await self.events.put(f"{why}, next attempt in {pause:.1f} s")
            await asyncio.sleep(pause)
            backoff = 2 * backoff

    async def talk(self, reader, writer, has_answered):
        self.callers.clear()
        self.writer = writer
        self.connected.set()
        try:
            await self.events.put("connected")
            async with asyncio.TaskGroup() as group:
                group.create_task(self.read(reader, has_answered))
                group.create_task(self.ping(writer))
        finally:
            self.connected.clear()
            for _, caller in self.callers:
                if not caller.done():
                    caller.set_exception(MaybeDone("maybe done: connection lost"))

    async def read(self, reader, has_answered):
        while True:
            async with asyncio.timeout(self.config.silence):
                text = await read_frame(reader, self.config.frame)
            has_answered()
            if text.startswith("REPLY "):
                if not self.callers:
                    raise ConnectionError("a reply without a request")
                _, answered, reply = text.split(" ", 2)
                number, caller = self.callers.popleft()
                if answered != str(number):
                    raise ConnectionError("a reply is missing")
                if not caller.done():
                    caller.set_result(reply)
            elif text != "PONG":
                await self.events.put(f"message: {text}")

    async def ping(self, writer):
        while True:
            write_frame(writer, "PING")
            async with asyncio.timeout(self.config.silence):
                await writer.drain()
            await asyncio.sleep(self.config.ping)

    async def request(self, text):
        """Returns the reply. Raises NotSent, MaybeDone."""
        if len(text.encode()) > self.config.frame:
            raise NotSent("not sent: too large")
        async with self.room:
            try:
                async with asyncio.timeout(self.config.request):
                    await self.connected.wait()
            except TimeoutError:
                raise NotSent("not sent: no connection in time") from None
            caller = asyncio.get_running_loop().create_future()
            self.number += 1
            self.callers.append((self.number, caller))
            write_frame(self.writer, f"REQUEST {self.number} {text}")
            try:
                async with asyncio.timeout(self.config.request):
                    return await caller
            except TimeoutError:
                raise MaybeDone("maybe done: no reply in time") from None


class Server:
    """Does what requests say, and writes down their texts."""

    def __init__(self):
        self.done = []

    async def serve(self, reader, writer):
        is_silent = False
        try:
            while True:
                kind, _, text = (await read_frame(reader, 1000)).partition(" ")
                if kind == "SUBSCRIBE":
                    write_frame(writer, f"welcome to {text}")
                elif kind == "REQUEST":
                    number, _, text = text.partition(" ")
                    self.done.append(text)
                    if text == "pay and crash":
                        break
                    is_silent = text == "fall silent"
                    write_frame(writer, f"REPLY {number} done: {text}")
                elif not is_silent:
                    write_frame(writer, "PONG")
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()


async def show(events, number):
    for _ in range(number):
        print(await events.get())


async def request(client, text):
    print(await outcome(client, text))


async def outcome(client, text):
    try:
        return await client.request(text)
    except (NotSent, MaybeDone) as error:
        return f"{text}: {error}"


async def main():
    server = Server()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    address = listener.sockets[0].getsockname()
    # What each further attempt to connect comes to: refused, or not.
    attempts = collections.deque([False, True, True])

    async def connect():
        if attempts and attempts.popleft():
            raise ConnectionRefusedError
        reader, writer = await asyncio.open_connection(*address)
        write_frame(writer, "SUBSCRIBE news")
        return reader, writer

    config = Config(
        connect=1,
        request=0.8,
        ping=0.1,
        silence=0.3,
        initial_backoff=0.1,
        max_backoff=0.4,
        jitter=lambda pause: pause,
        frame=1000,
        waiting=10,
    )
    client = Client(config, connect)
    await asyncio.sleep(0.1)

    print("It connects and subscribes:")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(client.run())
        await show(client.events, 2)
        await asyncio.sleep(0.1)
        await request(client, "pay")

        print("The server crashes before it replies:")
        await request(client, "pay and crash")
        await show(client.events, 3)

        print("A request waits for a connection, and the topic is subscribed again:")
        # The reply may come before the message.
        later = outcome(client, "pay later")
        done, _ = await asyncio.gather(later, show(client.events, 2))
        print(done)

        print("The server falls silent:")
        await asyncio.sleep(0.05)
        await request(client, "fall silent")
        await show(client.events, 3)
        print(f"the server has done: {', '.join(server.done)}")
        running.cancel()
    listener.close()


asyncio.run(main())
