"""What the groups have in common: how a clause is tried. As in support.rs."""

import asyncio
import socket

# After this time a probe counts as hanging.
HANGS = 1
# None of the clauses that are tried together hangs, however busy the machine is.
NEVER = 30
lines = []


async def try_out(clause, probe):
    """Runs the probe, and notes what it returns, or that it raises or hangs."""
    lines.append(f"{clause}: {await tell(probe, HANGS)}")


async def tell(probe, hangs):
    task = asyncio.create_task(probe)
    await asyncio.wait([task], timeout=hangs)
    if not task.done():
        told = "hangs"
    elif task.cancelled():
        told = "cancelled"
    elif error := task.exception():
        told = f"raises {type(error).__name__}: {error}"
    else:
        told = task.result()
    task.cancel()
    return told


def run(probes, moment):
    """Tries the clauses of `probes` one after the other, and prints what came out at this
    moment after the start. So all have one time, and a clause that takes longer in one
    language moves no other line."""

    async def main():
        start = now()
        for clause, probe in probes():
            await try_out(clause, probe)
        await asyncio.sleep(start + moment - now())
        print("\n".join(lines))

    asyncio.run(main())


def run_together(probes, moment):
    """As `run`, with all clauses at the same time: for the real clock."""

    async def main():
        start = now()
        clauses = list(probes())
        told = await asyncio.gather(*(tell(probe, NEVER) for _, probe in clauses))
        await asyncio.sleep(start + moment - now())
        for (clause, _), text in zip(clauses, told):
            print(f"{clause}: {text}")

    asyncio.run(main())


def now():
    return asyncio.get_running_loop().time()


class Pieces(asyncio.BufferedProtocol):
    """Keeps what arrives, as its buffer of four bytes gets it."""

    def __init__(self):
        self.buffer, self.pieces = bytearray(4), []
        self.ended = asyncio.Event()

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, count):
        self.pieces.append(self.buffer[:count].decode())

    def connection_lost(self, error):
        self.ended.set()


async def pair():
    """Both ends of a connection."""
    accepted = asyncio.get_running_loop().create_future()

    async def accept(reader, writer):
        accepted.set_result((reader, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    stream = await asyncio.open_connection(*server.sockets[0].getsockname())
    peer = await accepted
    server.close()
    return stream, peer


async def sendall(count):
    """Sends so many bytes by `sock_sendall`, and returns how many arrive."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        sending = asyncio.create_task(loop.sock_sendall(ours, b"x" * count))
        got = 0
        while got < count:
            got += len(await loop.sock_recv(theirs, 65536))
        await sending
    return got


async def settle():
    """Lets all other tasks run until they wait."""
    await asyncio.sleep(0.01)


def yes(fact):
    return "true" if fact else "false"
