import asyncio

try:
    from queue_between_rs import Squares
except ImportError:
    END = object()

    class Squares:
        def __init__(self, capacity):
            self.inbox = asyncio.Queue(capacity)
            self.outbox = asyncio.Queue(capacity)
            self.closed = asyncio.Event()
            self.task = asyncio.create_task(self.run())

        async def run(self):
            while True:
                getter = asyncio.create_task(self.inbox.get())
                closer = asyncio.create_task(self.closed.wait())
                await asyncio.wait([getter, closer], return_when="FIRST_COMPLETED")
                closer.cancel()
                if not getter.done():
                    getter.cancel()
                    break
                await asyncio.sleep(0.01)
                await self.outbox.put(getter.result() ** 2)
            await self.outbox.put(END)

        async def put(self, number):
            await self.inbox.put(number)

        def close(self):
            self.closed.set()

        def __aiter__(self):
            return self

        async def __anext__(self):
            if (square := await self.outbox.get()) is END:
                raise StopAsyncIteration
            return square


async def main():
    squares = Squares(1)
    put = 0

    async def feed():
        nonlocal put
        for number in range(5):
            await squares.put(number)
            put += 1
        squares.close()

    feeding = asyncio.create_task(feed())
    while put < 3:  # one in each queue, one in the task
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    print(f"put {put} while nobody reads")
    async for square in squares:
        print("square", square)
    await feeding
    print(f"put {put} in all")


if __name__ == "__main__":
    asyncio.run(main())
