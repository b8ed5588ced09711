import asyncio
import contextlib

SENT = 100_000


@contextlib.asynccontextmanager
async def greet(start):
    """A server that greets, reads when it is told to, and counts what came."""
    count = asyncio.get_running_loop().create_future()

    async def serve(reader, writer):
        try:
            writer.write(b"welcome\n")
            await start.wait()
            count.set_result(len(await reader.read()))
            writer.write(b"goodbye\n")
        except ConnectionError:
            count.set_result(None)
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname(), count


async def send(address):
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"x" * SENT)
    await writer.drain()
    return reader, writer


def report(count):
    if count == SENT:
        print("the server has got all")
    else:
        print("the server has got a part")


async def main():
    print("Shut down and dropped, with the greeting unread:")
    start = asyncio.Event()
    async with greet(start) as (address, count):
        _, writer = await send(address)
        writer.close()
        await writer.wait_closed()
        start.set()
        report(await count)

    print("Read to the end before it is dropped:")
    start = asyncio.Event()
    async with greet(start) as (address, count):
        reader, writer = await send(address)
        start.set()
        writer.write_eof()
        await reader.read()
        writer.close()
        await writer.wait_closed()
        report(await count)

    print("A task reads the other half:")
    start = asyncio.Event()
    async with greet(start) as (address, count):
        reader, writer = await send(address)
        reading = asyncio.create_task(reader.read())
        start.set()
        writer.write_eof()
        text = (await reading).decode()
        writer.close()
        print(f"the task has read {', '.join(text.splitlines())}")
        report(await count)

    print("The server never ends its side:")
    start = asyncio.Event()
    async with greet(start) as (address, _):
        reader, writer = await send(address)
        writer.write_eof()
        try:
            async with asyncio.timeout(0.3):
                await reader.read()
        except TimeoutError:
            print("timed out")
        writer.transport.abort()
        start.set()


asyncio.run(main())
