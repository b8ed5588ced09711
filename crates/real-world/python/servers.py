import asyncio

HOSTS = ["127.0.0.1", "127.0.0.2"]


IDLE = 10


class Clients:
    """The connections of a server: since 3.13 `close_clients` is a method of it."""

    def __init__(self, name, limit=100):
        self.name = name
        self.permits = asyncio.Semaphore(limit)
        self.tasks = {}

    async def connected(self, reader, writer):
        task = asyncio.current_task()
        self.tasks[task] = writer
        try:
            async with self.permits:
                await answer(self.name, reader, writer)
        except OSError:
            # Too slow, or gone.
            writer.transport.abort()
        finally:
            del self.tasks[task]

    def close(self):
        for writer in self.tasks.values():
            writer.close()

    async def wait_closed(self):
        if self.tasks:
            await asyncio.wait(self.tasks)


async def answer(name, reader, writer):
    while True:
        async with asyncio.timeout(IDLE):
            data = await reader.read(100)
        if not data:
            break
        writer.write(f"{name}: ".encode() + data)
        async with asyncio.timeout(IDLE):
            await writer.drain()
    writer.close()
    await writer.wait_closed()


async def bind(clients, hosts, port=0, reuse_port=False):
    """A server that has its addresses, and does not serve yet."""
    return await asyncio.start_server(
        clients.connected, hosts, port, reuse_port=reuse_port, start_serving=False
    )


async def ask(stream, text):
    reader, writer = stream
    writer.write(text.encode())
    await writer.drain()
    print((await reader.read(100)).decode())


async def visit(address):
    try:
        stream = await asyncio.open_connection(*address)
    except ConnectionRefusedError:
        print("connection refused")
        return
    await ask(stream, "hello")
    stream[1].close()


async def main():
    loop = asyncio.get_running_loop()
    first = loop.time() + 0.2

    async def part(number):
        await asyncio.sleep(first + number * 0.6 - loop.time())

    tenth = 0.1

    await part(0)
    print("Bound to two addresses, and started later:")
    old_clients = Clients("old")
    old = await bind(old_clients, HOSTS, reuse_port=True)
    # Their order is any.
    addresses = sorted(sock.getsockname() for sock in old.sockets)
    await visit(addresses[0])
    await old.start_serving()
    print(f"is serving: {str(old.is_serving()).lower()}")
    for address in addresses:
        print(f"at {address[0]}")
        await visit(address)

    await part(1)
    print("Another server takes over the first address:")
    new_clients = Clients("new")
    try:
        await bind(new_clients, *addresses[0])
        print("without reuse_port: bound")
    except OSError:
        print("without reuse_port: address in use")
    new = await bind(new_clients, *addresses[0], reuse_port=True)
    print("with reuse_port: bound")
    client = await asyncio.open_connection(*addresses[0])
    await ask(client, "hello")
    await new.start_serving()
    old.close()
    print(f"the old one is serving: {str(old.is_serving()).lower()}")
    await visit(addresses[0])
    await ask(client, "the rest")
    try:
        async with asyncio.timeout(tenth):
            await old.wait_closed()
            await old_clients.wait_closed()
    except TimeoutError:
        print("the old one has a client")
    client[1].close()
    await old.wait_closed()
    await old_clients.wait_closed()
    print("the old one is closed")

    await part(2)
    print("Closed together with its clients:")
    reader, writer = await asyncio.open_connection(*addresses[0])
    await ask((reader, writer), "hello")
    new.close()
    await visit(addresses[0])
    await asyncio.sleep(tenth)
    new_clients.close()
    await new.wait_closed()
    await new_clients.wait_closed()
    print(f"the client got {len(await reader.read(100))} bytes and the end")
    writer.close()

    await part(3)
    print("Served for 0.2 s:")
    last = await bind(Clients("last"), HOSTS[0])
    address = last.sockets[0].getsockname()
    serving = asyncio.create_task(last.serve_forever())
    loop.call_later(2 * tenth, serving.cancel)
    # It starts with the next turn of the loop.
    await asyncio.sleep(0)
    await visit(address)
    await asyncio.sleep(3 * tenth)
    await visit(address)
    await asyncio.wait([serving])
    print(f"cancelled: {str(serving.cancelled()).lower()}")


asyncio.run(main())
