import asyncio
import time

END = object()


async def blocking_stream(items):
    items = iter(items)
    # Without a default, `next` would raise StopIteration, which no future can hold.
    while (item := await asyncio.to_thread(next, items, END)) is not END:
        yield item


def lines():
    for number in range(1, 4):
        time.sleep(0.3)
        yield f"line {number}"


async def read():
    async for line in blocking_stream(lines()):
        print(line)
    print("the end")


async def work():
    await asyncio.sleep(0.45)
    print("something else")


async def main():
    print("Nothing else has to wait:")
    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        group.create_task(work())

    print("Only the first line:")
    async for line in blocking_stream(lines()):
        print(line)
        break
    await asyncio.sleep(1)
    print("1 s later")


asyncio.run(main())
