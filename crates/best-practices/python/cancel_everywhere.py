import asyncio
import itertools
import types


@types.coroutine
def cancel_at(number, coroutine):
    """Throws a CancelledError in where it suspends for that time, counted from one."""
    failure = None
    for suspension in itertools.count(1):
        try:
            future = coroutine.throw(failure) if failure else coroutine.send(None)
            if suspension == number:
                future = coroutine.throw(asyncio.CancelledError())
        except StopIteration as stop:
            return stop.value
        failure = None
        try:
            yield future
        except BaseException as error:
            failure = error


async def at_each_await(test):
    for number in itertools.count(1):
        if await test(number):
            return number - 1


END = object()


class Forwarder:
    """Passes items on from one queue to the next."""

    def __init__(self, source, target):
        self.source = source
        self.target = target
        self.taken = None

    async def forward_or_lose(self):
        item = await self.source.get()
        await self.target.put(item)
        return item is not END

    async def forward(self):
        if self.taken is None:
            self.taken = await self.source.get()
        await self.target.put(self.taken)
        item, self.taken = self.taken, None
        return item is not END


async def produce(source):
    await asyncio.sleep(0.1)
    for item in (2, 3, END):
        await source.put(item)


async def consume(target):
    await asyncio.sleep(0.3)
    items = []
    while (item := await target.get()) is not END:
        items.append(item)
    return items


async def drop_at(number, forward):
    source, target = asyncio.Queue(1), asyncio.Queue(1)
    async with asyncio.TaskGroup() as group:
        group.create_task(produce(source))
        consumer = group.create_task(consume(target))
        await target.put(1)
        forwarder = Forwarder(source, target)

        try:
            await cancel_at(number, forward(forwarder))
            is_completed = True
        except asyncio.CancelledError:
            if asyncio.current_task().cancelling():
                raise  # it comes from outside
            is_completed = False
        while await forward(forwarder):
            pass
    items = consumer.result()
    if is_completed:
        print(f"completed: {items}")
    else:
        print(f"dropped at await {number}: {items}")
    return is_completed


async def main():
    print("An item in a local variable:")
    await at_each_await(lambda number: drop_at(number, Forwarder.forward_or_lose))

    print("An item that is kept in the struct:")
    awaits = await at_each_await(lambda number: drop_at(number, Forwarder.forward))
    print(f"dropped at {awaits} awaits in all")


asyncio.run(main())
