import asyncio
import contextlib
import socket
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Limits:
    connect: float
    exchange: float
    answer: int


class TooLarge(Exception):
    pass


async def ask(host, port, request, limits):
    async with asyncio.timeout(limits.connect):
        reader, writer = await asyncio.open_connection(host, port)
    try:
        async with asyncio.timeout(limits.exchange):
            writer.write(request)
            await writer.drain()
            writer.write_eof()
            answer = bytearray()
            while data := await reader.read(4096):
                answer += data
                if len(answer) > limits.answer:
                    raise TooLarge("file too large")
            return bytes(answer)
    finally:
        writer.close()


@contextlib.asynccontextmanager
async def start():
    never = asyncio.Event()

    async def answer(reader, writer):
        request = (await reader.read()).decode()
        try:
            if request == "wait":
                await never.wait()
            else:
                writer.write(b"x" * int(request))
        finally:
            writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()
        never.set()


async def show(address, request, limits):
    try:
        answer = await ask(*address, request.encode(), limits)
        print(f"{request}: {len(answer)} bytes")
    except TooLarge as error:
        print(f"{request}: {error}")
    except TimeoutError:
        print(f"{request}: timed out")
    except ConnectionRefusedError:
        print(f"{request}: connection refused")


async def main():
    limits = Limits(connect=30, exchange=30, answer=1000)
    async with start() as address:
        print("The longest answer, and one byte more:")
        await show(address, "1000", limits)
        await show(address, "1001", limits)

        print("No answer within 0.3 s:")
        await show(address, "wait", replace(limits, exchange=0.3))

    print("No server:")
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        address = nobody.getsockname()
    await show(address, "hello", limits)


asyncio.run(main())
