import asyncio

CAPACITY = 2
# From Python 3.13 on, queue.shutdown() ends the loops that wait for an item instead.
END = None


async def produce(numbers, delay, queue):
    for number in numbers:
        try:
            await asyncio.sleep(delay)
        except asyncio.CancelledError:
            print("stopped in a pause")
            raise
        print(f"sending {number}")
        try:
            await queue.put(number)
        except asyncio.CancelledError:
            print("stopped in a send")
            raise


async def produce_all(numbers, delay, queue):
    await produce(numbers, delay, queue)
    await queue.put(END)


async def batches_of(size, queue):
    batch = []
    while (item := await queue.get()) is not END:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


async def main():
    busy = 0.4

    print("A slow consumer, of batches:")
    queue = asyncio.Queue(CAPACITY)
    async with asyncio.TaskGroup() as group:
        group.create_task(produce_all(range(1, 8), 0.1, queue))
        async for batch in batches_of(2, queue):
            print(f"got {batch}")
            await asyncio.sleep(busy)

    print("A consumer that leaves:")
    for delay in (0.1, 0.3):
        queue = asyncio.Queue(CAPACITY)
        async with asyncio.TaskGroup() as group:
            producer = group.create_task(produce(range(1, 9), delay, queue))
            print(f"got {await queue.get()}")
            await asyncio.sleep(busy)
            print("that is enough")
            producer.cancel()


asyncio.run(main())
