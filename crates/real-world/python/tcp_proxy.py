import asyncio
import dataclasses
import itertools
import socket
import struct


@dataclasses.dataclass(frozen=True)
class Limits:
    connections: int
    connect: float
    idle: float
    drain: float


async def serve(listener, upstream, limits, stop):
    """Serves until stopped; returns how many connections had to be cut off then."""
    permits = asyncio.Semaphore(limits.connections)
    connections = set()
    numbers = itertools.count(1)

    async def handle(reader, writer):
        try:
            async with permits:
                number = next(numbers)
                try:
                    await proxy(reader, writer, upstream, limits)
                except* TimeoutError:
                    print(f"connection {number}: idle")
                except* OSError as group:
                    print(f"connection {number}: {kind(group.exceptions[0])}")
        finally:
            reset(writer)

    def connected(reader, writer):
        # Python 3.11 logs an error if a coroutine is the callback and is cancelled.
        task = asyncio.create_task(handle(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(connected, sock=listener)
    await stop.wait()
    server.close()
    if not connections:
        return 0
    _, late = await asyncio.wait(connections, timeout=limits.drain)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    return len(late)


async def proxy(reader, writer, upstream, limits):
    try:
        async with asyncio.timeout(limits.connect):
            server = await asyncio.open_connection(*upstream)
    except TimeoutError:
        raise ConnectionError("cannot connect: timed out") from None
    except ConnectionRefusedError:
        raise ConnectionError("cannot connect: connection refused") from None
    try:
        await forward((reader, writer), server, limits.idle)
    finally:
        reset(server[1])


async def forward(client, server, idle):
    """Copies both ways, until both have ended or no byte moves any more."""
    loop = asyncio.get_running_loop()

    async def copy(reader, writer):
        # `drain` waits until the system has taken all.
        writer.transport.set_write_buffer_limits(high=0)
        while data := await reader.read(8192):
            writer.write(data)
            await writer.drain()
            if not limit.expired():
                limit.reschedule(loop.time() + idle)
        writer.write_eof()

    async with asyncio.timeout(idle) as limit:
        async with asyncio.TaskGroup() as group:
            group.create_task(copy(client[0], server[1]))
            group.create_task(copy(server[0], client[1]))
    client[1].close()
    server[1].close()


def reset(writer):
    """Resets a connection that is not closed: the peer must not take it for complete."""
    if writer.is_closing():
        return
    option = struct.pack("ii", 1, 0)
    stream = writer.get_extra_info("socket")
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
    writer.transport.abort()


def kind(error):
    if isinstance(error, ConnectionResetError):
        return "connection reset"
    return str(error)


async def rest(stream):
    try:
        return f"{len(await stream[0].read())} bytes and the end"
    except ConnectionResetError:
        return "connection reset"


class Proxy:
    @classmethod
    async def start(cls, upstream):
        self = cls()
        limits = Limits(connections=2, connect=30, idle=1, drain=0.5)
        listener = socket.create_server(("127.0.0.1", 0))
        self.address = listener.getsockname()
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(serve(listener, upstream, limits, self.stop))
        return self

    async def through(self, accepted):
        """Returns both ends of a connection through the proxy."""
        return await asyncio.gather(
            asyncio.open_connection(*self.address), accepted.get()
        )


async def main():
    accepted = asyncio.Queue()
    listener = await asyncio.start_server(
        lambda *stream: accepted.put_nowait(stream), "127.0.0.1", 0
    )
    proxy = await Proxy.start(listener.sockets[0].getsockname())

    print("A client that ends its side before the answer:")
    client, server = await proxy.through(accepted)
    client[1].write(b"x" * 50_000)
    client[1].write_eof()
    print(f"the server got {await rest(server)}")
    server[1].write(b"thanks")
    server[1].close()
    print(f"the client got {await rest(client)}")
    client[1].close()

    print("A download of 1.6 seconds, with an idle limit of one second:")
    client, server = await proxy.through(accepted)
    for _ in range(4):
        await asyncio.sleep(0.4)
        server[1].write(b"piece")
    server[1].close()
    print(f"the client got {await rest(client)}")
    client[1].close()

    print("Both sides are silent:")
    client, server = await proxy.through(accepted)
    results = await asyncio.gather(rest(client), rest(server))
    print("the client got {}, the server got {}".format(*results))

    print("The client vanishes:")
    client, server = await proxy.through(accepted)
    reset(client[1])
    print(f"the server got {await rest(server)}")

    print("No server listens:")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nowhere = closed.getsockname()
    other = await Proxy.start(nowhere)
    client = await asyncio.open_connection(*other.address)
    print(f"the client got {await rest(client)}")
    other.stop.set()
    print(f"cut off: {await other.task}")

    print("The proxy stops while two are connected:")
    client, server = await proxy.through(accepted)
    other, _ = await proxy.through(accepted)
    proxy.stop.set()
    await asyncio.sleep(0.1)
    try:
        await asyncio.open_connection(*proxy.address)
    except ConnectionRefusedError:
        print("a new client: connection refused")
    server[1].write(b"the rest")
    server[1].close()
    print(f"the client got {await rest(client)}")
    client[1].close()
    print(f"cut off: {await proxy.task}")
    print(f"the other got {await rest(other)}")
    listener.close()


asyncio.run(main())
