import asyncio


async def producer(id, start, queue):
    await asyncio.sleep(start)
    for number in range(3):
        item = f"Item-{id}-{number}"
        await queue.put(item)
        print(f"Producer {id} produced {item}")
        await asyncio.sleep(0.1)


async def consumer(id, queue):
    while True:
        item = await queue.get()
        print(f"Consumer {id} consuming {item}")
        await asyncio.sleep(0.4)
        queue.task_done()


async def main():
    queue = asyncio.Queue(2)
    async with asyncio.TaskGroup() as group:
        consumers = []
        for id in range(3):
            consumers.append(group.create_task(consumer(id, queue)))
            # So that they wait in this order.
            await asyncio.sleep(0.05)
        async with asyncio.TaskGroup() as producers:
            producers.create_task(producer(0, 0, queue))
            producers.create_task(producer(1, 0.05, queue))
        await queue.join()
        for task in consumers:
            task.cancel()
    print("All consumers have ended")


asyncio.run(main())
