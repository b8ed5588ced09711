import asyncio


class Capitals(asyncio.DatagramProtocol):
    """Answers each datagram with its text in capital letters."""

    def __init__(self, at_once):
        self.at_once = at_once
        self.answers = set()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, client):
        if len(self.answers) == self.at_once:
            return
        task = asyncio.create_task(self.answer(data, client))
        self.answers.add(task)
        task.add_done_callback(self.answers.discard)

    async def answer(self, data, client):
        await asyncio.sleep(0.6)
        self.transport.sendto(data.upper(), client)

    async def stop(self):
        """Receives nothing more, and sends the answers that have begun."""
        self.at_once = len(self.answers)
        await asyncio.gather(*self.answers)
        self.transport.close()


class Client(asyncio.DatagramProtocol):
    def __init__(self):
        self.answer = asyncio.get_running_loop().create_future()

    def datagram_received(self, data, server):
        if not self.answer.done():
            self.answer.set_result(data)


async def ask(server, text, limit):
    loop = asyncio.get_running_loop()
    transport, client = await loop.create_datagram_endpoint(Client, remote_addr=server)
    transport.sendto(text.encode())
    try:
        async with asyncio.timeout(limit):
            print(f"{text}: {(await client.answer).decode()}")
    except TimeoutError:
        print(f"{text}: no answer")
    finally:
        transport.close()


async def main():
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(
        lambda: Capitals(at_once=2), local_addr=("127.0.0.1", 0)
    )
    address = transport.get_extra_info("sockname")

    async def ask_later(seconds, text, limit=30):
        await asyncio.sleep(seconds)
        await ask(address, text, limit)

    print("Two concurrent answers, and one request more:")
    async with asyncio.TaskGroup() as group:
        group.create_task(ask_later(0, "one"))
        group.create_task(ask_later(0.1, "two"))
        group.create_task(ask_later(0.2, "three", limit=0.3))

    print("The server stops while it answers:")
    async with asyncio.TaskGroup() as group:
        group.create_task(ask_later(0, "four"))
        await asyncio.sleep(0.3)
        await server.stop()
    print("all answers are sent")


asyncio.run(main())
