import asyncio
import time

LIMIT = 0.3
END = object()
LATE = object()


async def replies(delays):
    for number, delay in enumerate(delays, start=1):
        await asyncio.sleep(delay)
        yield number


async def pull(stream):
    return await anext(stream, END)


async def limit_waits(stream, limit):
    """Yields LATE whenever `limit` has passed, and keeps the stream alive."""
    step = asyncio.create_task(pull(stream))
    while True:
        done, _ = await asyncio.wait({step}, timeout=limit)
        if not done:
            yield LATE
        elif (item := step.result()) is END:
            return
        else:
            yield item
            step = asyncio.create_task(pull(stream))


async def limit_items(stream, limit):
    """Yields LATE once for each item that comes later than `limit` after the last."""
    deadline = time.monotonic() + limit
    while True:
        step = asyncio.create_task(pull(stream))
        rest = max(0, deadline - time.monotonic())
        done, _ = await asyncio.wait({step}, timeout=rest)
        if not done:
            yield LATE
        if (item := await step) is END:
            return
        deadline = time.monotonic() + limit
        yield item


async def main():
    print("A limit on each wait:")
    async for reply in limit_waits(replies([0.1, 0.8, 0.1]), LIMIT):
        print("nothing for 0.3 s" if reply is LATE else f"reply {reply}")

    print("The same as an adapter:")
    async for reply in limit_items(replies([0.1, 0.8, 0.1]), LIMIT):
        print("late" if reply is LATE else f"reply {reply}")

    print("The adapter's trap, a body that takes 0.4 s:")
    async for reply in limit_items(replies([0.1, 0.2]), LIMIT):
        if reply is LATE:
            print("late, though it was the body that took the time")
        else:
            print(f"reply {reply}")
            await asyncio.sleep(0.4)


asyncio.run(main())
