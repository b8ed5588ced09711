import asyncio
import itertools


class Calls:
    """The calls over one connection that wait for a reply."""

    def __init__(self):
        self._numbers = itertools.count(1)
        self._waiting = {}

    def start(self):
        number = next(self._numbers)
        future = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        future.add_done_callback(lambda _: self._waiting.pop(number, None))
        return number, future

    def reply(self, number, reply):
        future = self._waiting.get(number)
        # A caller that gave up in this turn of the loop has cancelled its future.
        if future is None or future.done():
            return False
        future.set_result(reply)
        return True

    def fail_all(self):
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionError("the connection is lost"))

    def pending(self):
        return len(self._waiting)


class Client:
    def __init__(self, calls, requests):
        self.calls = calls
        self.requests = requests

    async def request(self, page):
        number, reply = self.calls.start()
        try:
            async with asyncio.timeout(0.5):
                await self.requests.put((number, page))
                return await reply
        finally:
            # Removes the call also if it was cancelled before it awaited the reply.
            reply.cancel()

    async def show(self, page):
        try:
            print(f"{page}: {await self.request(page)}")
        except ConnectionError as error:
            print(f"{page}: {error}")
        except TimeoutError:
            print(f"{page}: no reply in time")


async def answer(calls, number, page):
    await asyncio.sleep({"fast": 0.1, "slow": 0.2}.get(page, 0.6))
    if not calls.reply(number, f"the {page} page"):
        print(f"nobody waits for the {page} page")


async def serve(requests, calls):
    async with asyncio.TaskGroup() as answers:
        while True:
            number, page = await requests.get()
            answers.create_task(answer(calls, number, page))


async def main():
    calls = Calls()
    requests = asyncio.Queue(10)
    server = asyncio.create_task(serve(requests, calls))
    client = Client(calls, requests)

    print("Replies in another order than their requests:")
    pages = ["slow", "fast", "late"]
    callers = [asyncio.create_task(client.show(page)) for page in pages]
    await asyncio.sleep(0.7)
    await asyncio.gather(*callers)

    print("The connection ends:")
    caller = asyncio.create_task(client.show("slow"))
    await asyncio.sleep(0.1)
    calls.fail_all()
    await caller
    print(f"calls that wait: {calls.pending()}")
    server.cancel()


asyncio.run(main())
