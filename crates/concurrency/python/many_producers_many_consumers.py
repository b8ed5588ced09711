import asyncio

CAPACITY = 2
CONSUMERS = 3
END = None


async def producer(id, start, queue):
    await asyncio.sleep(start)
    for number in range(3):
        item = f"Item-{id}-{number}"
        await queue.put(item)
        print(f"Producer {id} produced {item}")
        await asyncio.sleep(0.1)


async def process(item):
    await asyncio.sleep(0.4)
    if item == "Item-1-0":
        raise ValueError(f"{item} is broken")


async def consumer(id, queue):
    while (item := await queue.get()) is not END:
        print(f"Consumer {id} consuming {item}")
        try:
            await process(item)
            print(f"Consumer {id} has done {item}")
        except ValueError as error:
            # One bad item ends neither the consumer nor the others.
            print(f"Consumer {id}: {error}")
    print(f"Consumer {id} has ended")


async def main():
    queue = asyncio.Queue(CAPACITY)
    async with asyncio.TaskGroup() as consumers:
        for id in range(CONSUMERS):
            consumers.create_task(consumer(id, queue))
            # They line up one after the other.
            await asyncio.sleep(0.05)
        async with asyncio.TaskGroup() as producers:
            producers.create_task(producer(0, 0, queue))
            producers.create_task(producer(1, 0.05, queue))
        # An end mark for each consumer, after the last item of the last producer.
        for _ in range(CONSUMERS):
            await queue.put(END)


asyncio.run(main())
