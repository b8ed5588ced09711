import asyncio
import socket
import struct


async def echo(reader, writer):
    host, _ = writer.get_extra_info("peername")
    count = 0
    try:
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
            count += len(data)
        print(f"{host}: {count} bytes")
    except ConnectionResetError:
        print(f"{host}: connection reset")
    finally:
        writer.close()


async def talk(client, name, text):
    reader, writer = client
    writer.write(text.encode())
    await writer.drain()
    answer = await reader.readexactly(len(text))
    print(f"{name} hears {answer.decode()}")


async def leave(client):
    reader, writer = client
    writer.write_eof()
    await reader.read()
    writer.close()


async def main():
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        address = server.sockets[0].getsockname()

        print("Two clients at the same time:")
        ann = await asyncio.open_connection(*address)
        ben = await asyncio.open_connection(*address)
        await talk(ann, "Ann", "hello")
        await talk(ben, "Ben", "good morning")
        await talk(ann, "Ann", "goodbye")
        await leave(ann)
        await leave(ben)

        print("A client that vanishes does not end the server:")
        eve = await asyncio.open_connection(*address)
        await talk(eve, "Eve", "hello")
        sock = eve[1].get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        eve[1].transport.abort()
        fay = await asyncio.open_connection(*address)
        await talk(fay, "Fay", "still there?")
        await leave(fay)


asyncio.run(main())
