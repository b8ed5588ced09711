import asyncio
from itertools import count


def put_or_drop_oldest(queue, item):
    """Adds an item. Returns the one that it replaces, if the queue was full."""
    oldest = queue.get_nowait() if queue.full() else None
    queue.put_nowait(item)
    return oldest


def offer(number, queue, consumer_task):
    # A queue does not know whether anybody takes from it.
    if consumer_task.done():
        print(f"{number} refused: nobody takes it")
        return False
    try:
        queue.put_nowait(number)
        print(f"{number} put")
    except asyncio.QueueFull:
        print(f"{number} refused: full")
    return True


async def process(number):
    print(f"processing {number}")
    await asyncio.sleep(0.35)


async def consumer_of_three(queue):
    for _ in range(3):
        await process(await queue.get())


async def produce(queue):
    for number in range(7):
        if (oldest := put_or_drop_oldest(queue, number)) is not None:
            print(f"{oldest} dropped for {number}")
        await asyncio.sleep(0.1)


async def main():
    print("Refused when the queue is full:")
    queue = asyncio.Queue(2)
    consumer_task = asyncio.create_task(consumer_of_three(queue))
    for number in count():
        if not offer(number, queue, consumer_task):
            break
        await asyncio.sleep(0.2)

    print("The oldest is dropped when the queue is full:")
    queue = asyncio.Queue(2)
    producer_task = asyncio.create_task(produce(queue))
    for _ in range(4):
        await process(await queue.get())
    await producer_task


asyncio.run(main())
