import asyncio
import contextlib
import itertools
import struct
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    payload: int
    calls: int
    call: float
    idle: float


class TooLarge(Exception):
    pass


class Lost(Exception):
    pass


# A frame: the length of what follows, the number of the call, and the payload.
HEADER = struct.Struct("!IQ")


def frame(number, payload):
    return HEADER.pack(8 + len(payload), number) + payload


async def read_frame(reader, limits):
    length, number = HEADER.unpack(await reader.readexactly(HEADER.size))
    if not 8 <= length <= 8 + limits.payload:
        raise ConnectionError(f"a frame of {length} bytes")
    return number, await reader.readexactly(length - 8)


class Client:
    """A connection that many tasks share."""

    def __init__(self, reader, writer, limits):
        self.writer = writer
        self.limits = limits
        self.callers = {}
        self.numbers = itertools.count(1)
        self.permits = asyncio.Semaphore(limits.calls)
        self.lost = False
        self.reading = asyncio.create_task(self.read(reader))

    async def read(self, reader):
        try:
            while True:
                number, reply = await read_frame(reader, self.limits)
                caller = self.callers.get(number)
                # The reply of a caller that has given up has nowhere to go.
                if caller and not caller.done():
                    caller.set_result(reply)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self.lost = True
            self.writer.transport.abort()
            for caller in self.callers.values():
                if not caller.done():
                    caller.set_exception(Lost("the connection is lost"))

    async def call(self, request):
        """Returns the reply. Raises TooLarge, TimeoutError, or Lost."""
        if len(request) > self.limits.payload:
            raise TooLarge
        async with asyncio.timeout(self.limits.call), self.permits:
            if self.lost:
                raise Lost("the connection is lost")
            number = next(self.numbers)
            caller = asyncio.get_running_loop().create_future()
            self.callers[number] = caller
            try:
                # It does not suspend, so it writes a whole frame.
                self.writer.write(frame(number, request))
                return await caller
            finally:
                del self.callers[number]

    async def close(self):
        self.reading.cancel()
        await asyncio.wait([self.reading])


async def answer(reader, writer, limits, handle):
    """Serves one client."""
    permits = asyncio.Semaphore(limits.calls)

    async def reply(number, request):
        try:
            async with asyncio.timeout(limits.call):
                payload = await handle(request)
        except TimeoutError:
            return
        except Exception as error:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a handler has failed", "exception": error}
            )
            return
        finally:
            permits.release()
        writer.write(frame(number, payload))
        async with asyncio.timeout(limits.call):
            await writer.drain()

    try:
        async with asyncio.TaskGroup() as handlers:
            with contextlib.suppress(asyncio.IncompleteReadError):
                while True:
                    await permits.acquire()
                    async with asyncio.timeout(limits.idle):
                        request = await read_frame(reader, limits)
                    handlers.create_task(reply(*request))
        writer.close()
    except* OSError:
        # Idle, gone, or it does not read.
        pass
    finally:
        writer.transport.abort()


async def nap(request):
    """Takes as many milliseconds as the request says."""
    await asyncio.sleep(int(request) / 1000)
    return f"{int(request)} ms".encode()


async def call(client, request):
    try:
        reply = await client.call(request.encode())
        print(f"{request}: {reply.decode()}")
    except TooLarge:
        print("the request is too large")
    except TimeoutError:
        print(f"{request}: no reply in time")
    except Lost as error:
        print(f"{request}: {error}")


async def call_all(client, requests):
    async with asyncio.TaskGroup() as calls:
        for request in requests:
            calls.create_task(call(client, request))


async def main():
    loop = asyncio.get_running_loop()
    # Nothing takes as long as a call may, but what shall.
    limits = Limits(payload=100, calls=3, call=1, idle=30)
    serving = loop.create_future()

    def connected(reader, writer):
        task = asyncio.create_task(answer(reader, writer, limits, nap))
        serving.set_result(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    client = Client(*await asyncio.open_connection(*address), limits)

    print("Replies in another order than their requests:")
    await call_all(client, ["500", "100", "300"])

    print("Five calls, three of them at the same time:")
    await call_all(client, ["100"] * 5)

    print("A caller gives up, and the next call gets its own reply:")
    try:
        async with asyncio.timeout(0.1):
            await call(client, "500")
    except TimeoutError:
        print("500: the caller has given up")
    await call_all(client, ["150"])

    print("A reply that is late, and a request that is too large:")
    await call_all(client, ["9000", "9" * 101])

    print("The connection breaks:")
    async with asyncio.TaskGroup() as group:
        group.create_task(call_all(client, ["900", "900"]))
        await asyncio.sleep(0.1)
        (await serving).cancel()
    await call_all(client, ["100"])
    await client.close()
    server.close()


asyncio.run(main())
