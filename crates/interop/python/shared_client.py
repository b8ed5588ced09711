import asyncio

try:
    from shared_client_rs import Client
except ImportError:

    class Client:
        def __init__(self, host, port, size):
            self.address, self.idle, self.closed = (host, port), [], False
            self.free = asyncio.Semaphore(size)

        async def ask(self, line):
            async with self.free:
                if self.closed:
                    raise RuntimeError("client is closed")
                if self.idle:
                    pair = self.idle.pop()
                else:
                    pair = await asyncio.open_connection(*self.address)
                try:
                    pair[1].write(f"{line}\n".encode())
                    answer = await pair[0].readline()
                except BaseException:
                    pair[1].close()
                    raise
                if not answer.endswith(b"\n"):
                    pair[1].close()
                    raise ConnectionError("no whole line")
                if self.closed:
                    pair[1].close()
                else:
                    self.idle.append(pair)
                return answer.decode().rstrip()

        async def aclose(self):
            self.closed = True
            while self.idle:
                self.idle.pop()[1].close()


async def main():
    accepted = connected = 0

    async def serve(reader, writer):
        nonlocal accepted, connected
        accepted += 1
        connected += 1
        while line := await reader.readline():
            if line == b"late\n":
                await reader.read()  # no answer: waits until the client has closed
                break
            await asyncio.sleep(0.01)
            writer.write(line.upper())
        writer.close()
        connected -= 1

    async def wait_until_connected(number):
        while connected != number:
            await asyncio.sleep(0.01)
        print("connected", number)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = Client(*server.sockets[0].getsockname(), 2)
    words = ("a", "b", "c", "d")
    print(*await asyncio.gather(*[client.ask(word) for word in words]))
    print("accepted", accepted)
    try:
        async with asyncio.timeout(0.05):
            await client.ask("late")
    except TimeoutError:
        print("timed out")
    await wait_until_connected(1)
    print(await client.ask("next"))
    await client.aclose()
    try:
        await client.ask("e")
    except RuntimeError as error:
        print("RuntimeError:", error)
    await wait_until_connected(0)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
