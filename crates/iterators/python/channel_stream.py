import asyncio

END = object()


class Channel:
    """A queue whose producer can see that the consumer has left."""

    def __init__(self, capacity):
        self.queue = asyncio.Queue(capacity)
        self.closed = False

    async def send(self, item):
        if self.closed:
            return False
        await self.queue.put(item)
        return True

    async def items(self):
        try:
            while (item := await self.queue.get()) is not END:
                yield item
        finally:
            self.closed = True


async def produce(channel):
    for number in range(1, 6):
        await asyncio.sleep(0.2)
        print(f"sending {number}")
        if not await channel.send(number):
            print("nobody listens any more")
            return
    print("all sent")
    await channel.send(END)


async def main():
    channel = Channel(2)
    producer = asyncio.create_task(produce(channel))
    async for number in channel.items():
        print(f"got {number}")
        await asyncio.sleep(0.5)
    print("the stream has ended")
    await producer

    channel = Channel(2)
    producer = asyncio.create_task(produce(channel))
    numbers = channel.items()
    first_two = [await anext(numbers), await anext(numbers)]
    await numbers.aclose()
    print(f"enough: {first_two}")
    await producer


asyncio.run(main())
