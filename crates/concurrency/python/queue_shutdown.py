import asyncio
from itertools import count

CAPACITY = 2
END = None


async def producer(queue):
    for number in count():
        item = f"item-{number}"
        try:
            await queue.put(item)
        except asyncio.CancelledError:
            print(f"{item} came too late")
            raise
        print(f"{item} added")
        await asyncio.sleep(0.1)


async def stop(producer_task):
    producer_task.cancel()
    await asyncio.wait([producer_task])


async def process(item):
    print(f"processing {item}")
    await asyncio.sleep(0.35)


async def consumer(queue):
    while (item := await queue.get()) is not END:
        await process(item)
    print("drained")


async def consumer_of(enough, queue, producer_task):
    for _ in range(enough):
        await process(await queue.get())
    # From Python 3.13 on: queue.shutdown()
    print("closing the queue")
    producer_task.cancel()
    while not queue.empty():
        await process(queue.get_nowait())
    print("drained")
    await asyncio.wait([producer_task])


async def main():
    print("The producer is stopped:")
    queue = asyncio.Queue(CAPACITY)
    producer_task = asyncio.create_task(producer(queue))
    consumer_task = asyncio.create_task(consumer(queue))
    await asyncio.sleep(0.6)
    print("stopping the producer")
    await stop(producer_task)
    await queue.put(END)
    await consumer_task

    print("The consumer closes the queue:")
    queue = asyncio.Queue(CAPACITY)
    producer_task = asyncio.create_task(producer(queue))
    await consumer_of(2, queue, producer_task)

    print("At once:")
    queue = asyncio.Queue(CAPACITY)
    producer_task = asyncio.create_task(producer(queue))
    limit = 0.5
    try:
        async with asyncio.timeout(limit):
            await consumer(queue)
    except TimeoutError:
        await stop(producer_task)
        while not queue.empty():
            print(f"{queue.get_nowait()} is left")


asyncio.run(main())
