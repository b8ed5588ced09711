import asyncio

CAPACITY = 2
END = None


async def producer(end, queue):
    try:
        for i in range(end):
            await asyncio.sleep(0.1)
            if i == 5:
                raise ValueError(f"there is no {i}")
            print(f"Producing {i}")
            await queue.put(i)
    finally:
        await queue.put(END)


async def consumer(busy, queue):
    consumed = 0
    while (item := await queue.get()) is not END:
        print(f"Consuming {item}")
        await asyncio.sleep(busy)
        consumed += 1
    return consumed


async def main():
    print("A consumer that keeps up:")
    queue = asyncio.Queue(CAPACITY)
    producer_task = asyncio.create_task(producer(3, queue))
    consumed = await consumer(0.05, queue)
    await producer_task
    print(f"{consumed} consumed")

    print("A slow consumer:")
    queue = asyncio.Queue(CAPACITY)
    producer_task = asyncio.create_task(producer(5, queue))
    consumed = await consumer(0.45, queue)
    await producer_task
    print(f"{consumed} consumed")

    print("A producer that fails:")
    queue = asyncio.Queue(CAPACITY)
    producer_task = asyncio.create_task(producer(7, queue))
    consumed = await consumer(0.05, queue)
    print(f"{consumed} consumed")
    try:
        await producer_task
    except ValueError as error:
        print(f"Error: {error}")


asyncio.run(main())
