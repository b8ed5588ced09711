import asyncio
import contextlib
import fcntl
import os
import pathlib
import socket
import struct
import tempfile


class InUse(Exception):
    pass


@contextlib.asynccontextmanager
async def listen(path, mode, user, text):
    """Sends a text to each client of the user, at a path that is its own."""
    # It must not empty a file that somebody has linked there.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    with open(os.open(f"{path}.lock", flags, 0o600), "rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InUse("another server listens there") from error
        if await is_live(path):
            raise InUse("another server listens there")
        # It removes a stale file, and also one that is not.
        async with await start(path, user, text):
            os.chmod(path, mode)
            mine = path.stat()
            try:
                yield
            finally:
                # Another server may have put its own there.
                if path.exists() and os.path.samestat(path.stat(), mine):
                    path.unlink()


async def is_live(path):
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    writer.close()
    return True


CONNECTIONS = 100
WRITE = 10


async def start(path, user, text):
    permits = asyncio.Semaphore(CONNECTIONS)

    async def connected(reader, writer):
        try:
            async with permits, asyncio.timeout(WRITE):
                if peer_user(writer) == user:
                    writer.write(text.encode())
                writer.close()
                await writer.wait_closed()
        except OSError:
            # Too slow, or gone.
            writer.transport.abort()

    return await asyncio.start_unix_server(connected, path)


def peer_user(writer):
    # On Linux; a Mac has LOCAL_PEERCRED.
    peer = writer.get_extra_info("socket")
    size = struct.calcsize("3i")
    data = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _pid, user, _group = struct.unpack("3i", data)
    return user


async def visit(path):
    try:
        reader, writer = await asyncio.open_unix_connection(path)
        answer = (await reader.read()).decode()
        writer.close()
        print(f"client: {answer or 'the end'}")
    except FileNotFoundError:
        print("client: entity not found")
    except ConnectionRefusedError:
        print("client: connection refused")


def files(folder):
    return ", ".join(sorted(os.listdir(folder)))


async def main():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "socket")
        me = os.geteuid()

        print("A server:")
        async with listen(path, 0o600, me, "hello from the first"):
            mode = path.stat().st_mode & 0o777
            print(f"mode {mode:o}, files: {files(folder)}")
            await visit(path)
            try:
                async with listen(path, 0o600, me, "hello from the second"):
                    pass
            except InUse as error:
                print(f"second: {error}")
            await visit(path)

            print("It ends:")
        print(f"files: {files(folder)}")
        await visit(path)

        print("A server that died:")
        # As the end of a process would, this leaves the file.
        with socket.socket(socket.AF_UNIX) as dies:
            dies.bind(os.fspath(path))
            dies.listen()
        print(f"files: {files(folder)}")
        await visit(path)
        async with listen(path, 0o600, me, "hello from the next"):
            await visit(path)

        print("A server for another user:")
        async with listen(path, 0o600, me + 1, "hello"):
            await visit(path)

        print("Without the lock, at the path of a live server:")
        async with listen(path, 0o600, me, "hello from the first"):
            async with await start(path, me, "hello from the second"):
                print("second: listens")
                await visit(path)


asyncio.run(main())
