import asyncio
import dataclasses
import itertools
import socket
import struct


@dataclasses.dataclass(frozen=True)
class Limits:
    connections: int
    idle: float
    drain: float


async def serve(listener, limits, stop):
    """Serves until stopped; returns how many connections had to be cut off then."""
    permits = asyncio.Semaphore(limits.connections)
    connections = set()
    numbers = itertools.count(1)

    async def handle(reader, writer):
        try:
            async with permits:
                await report(next(numbers), echo(reader, writer, limits.idle))
        finally:
            if not writer.is_closing():
                # `close` would wait until all is sent, which may be never.
                writer.transport.abort()

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


async def echo(reader, writer, idle):
    while True:
        async with asyncio.timeout(idle):
            data = await reader.read(4096)
        if not data:
            writer.close()
            return
        async with asyncio.timeout(idle):
            writer.write(data)
            await writer.drain()


async def report(number, connection):
    try:
        await connection
    except TimeoutError:
        print(f"connection {number}: idle")
    except ConnectionResetError:
        print(f"connection {number}: reset")
    except OSError as error:
        print(f"connection {number}: {error}")


async def exchange(stream, text):
    reader, writer = stream
    writer.write(text.encode())
    await writer.drain()
    return (await reader.readexactly(len(text))).decode()


async def visit(address, name, after):
    await asyncio.sleep(after)
    stream = await asyncio.open_connection(*address)
    print(f"{name} is connected")
    print(f"{name} got {await exchange(stream, 'hello')}")
    await asyncio.sleep(0.3)
    print(f"{name} leaves")
    stream[1].close()


async def rest(stream):
    reader, writer = stream
    data = await reader.read()
    writer.close()
    return len(data)


def vanish(stream):
    """Resets the connection instead of closing it."""
    _, writer = stream
    option = struct.pack("ii", 1, 0)
    client = writer.get_extra_info("socket")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
    writer.transport.abort()


async def main():
    limits = Limits(connections=2, idle=1, drain=0.5)
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    stop = asyncio.Event()
    server = asyncio.create_task(serve(listener, limits, stop))

    print("Three clients, of which two are served at the same time:")
    async with asyncio.TaskGroup() as group:
        group.create_task(visit(address, "a", 0))
        group.create_task(visit(address, "b", 0.1))
        group.create_task(visit(address, "c", 0.2))

    print("A client that ends its side before it reads:")
    stream = await asyncio.open_connection(*address)
    stream[1].write(b"x" * 50_000)
    stream[1].write_eof()
    print(f"d got {await rest(stream)} bytes and the end")

    print("A client that vanishes:")
    stream = await asyncio.open_connection(*address)
    await exchange(stream, "hello")
    vanish(stream)
    await visit(address, "f", 0.1)

    print("A client that sends nothing:")
    stream = await asyncio.open_connection(*address)
    print(f"g got {await rest(stream)} bytes and the end")

    print("The server stops while two are connected:")
    h = await asyncio.open_connection(*address)
    await exchange(h, "hello")
    i = await asyncio.open_connection(*address)
    await exchange(i, "hello")
    stop.set()
    await asyncio.sleep(0.1)
    try:
        await asyncio.open_connection(*address)
    except ConnectionRefusedError:
        print("j: connection refused")
    print(f"h got {await exchange(h, 'the rest')}")
    h[1].close()
    print(f"cut off: {await server}")
    print(f"i got {await rest(i)} bytes and the end")


asyncio.run(main())
