import asyncio

END = object()

# How long the first item of a batch waits for others.
LINGER = 0.4


class Batches:
    """Takes items from a queue, several at a time, and keeps them until written."""

    def __init__(self, items, size, linger):
        if size < 1:
            raise ValueError("a batch needs room for an item")
        self.items = items
        self.size = size
        self.linger = linger
        self.pending = []
        self.ended = False
        # When the pending items have waited for long enough, if there are any.
        self.flush_at = None

    async def next(self):
        """The next batch; an empty one when the end was reached and all is written."""
        while len(self.pending) < self.size and not self.ended:
            try:
                async with asyncio.timeout_at(self.flush_at):
                    item = await self.items.get()
            except TimeoutError:
                break
            if item is END:
                self.ended = True
                break
            self.pending.append(item)
            if self.flush_at is None:
                self.flush_at = asyncio.get_running_loop().time() + self.linger
        return self.pending.copy()

    def written(self):
        self.pending.clear()
        self.flush_at = None


class Broken(Exception):
    pass


class Store:
    """A database that is 200 ms away."""

    def __init__(self, failing=None):
        self.trips = 0
        self.items = 0
        # The trip that fails, if one does.
        self.failing = failing

    async def insert(self, items):
        self.trips += 1
        await asyncio.sleep(0.2)
        if self.failing == self.trips:
            raise Broken("the connection is broken")
        self.items += len(items)
        print(f"inserted {items}")


async def insert_all(batches, store):
    """Inserts all, and goes on after one failure."""
    failed = False
    while batch := await batches.next():
        try:
            await store.insert(batch)
        except Broken as error:
            if failed:
                raise
            print(f"retrying: {error}")
            failed = True
        else:
            batches.written()
    print(f"{store.items} items in {store.trips} trips")


async def send_after(pauses, end, queue):
    """Sends the numbers from 1 on, each after a pause, and waits once more."""
    for number, pause in enumerate(pauses, 1):
        await asyncio.sleep(pause)
        await queue.put(number)
    await asyncio.sleep(end)
    await queue.put(END)


async def take_batch(items, size):
    """The mistake: what it has taken is dropped with it."""
    batch = []
    while len(batch) < size:
        item = await items.get()
        if item is END:
            break
        batch.append(item)
    return batch


async def run_batches(size, pauses, failing=None):
    queue = asyncio.Queue(100)
    batches = Batches(queue, size, LINGER)
    store = Store(failing)
    async with asyncio.TaskGroup() as group:
        group.create_task(send_after(pauses, 0.1, queue))
        group.create_task(insert_all(batches, store))


async def main():
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def part(number):
        await asyncio.sleep(start + number * 1.5 - loop.time())

    print("One by one:")
    await run_batches(1, [0] * 4)

    await part(1)
    print("Up to three at once:")
    await run_batches(3, [0] * 4)

    await part(2)
    print("Items come slowly; a batch waits for at most 400 ms:")
    await run_batches(3, [0, 0.1, 0.7])

    await part(3)
    print("The second trip fails:")
    await run_batches(3, [0] * 4, failing=2)

    await part(4)
    print("Cancelled while waiting for items, and while inserting:")
    queue = asyncio.Queue(100)
    batches = Batches(queue, 3, LINGER)
    store = Store()
    async with asyncio.TaskGroup() as group:
        group.create_task(send_after([0, 0.2], 0.7, queue))
        for patience in (0.1, 0.4):
            try:
                async with asyncio.timeout(patience):
                    await insert_all(batches, store)
            except TimeoutError:
                print("cancelled")
        await insert_all(batches, store)

    await part(5)
    print("The same, with the batch in a local variable:")
    queue = asyncio.Queue(100)
    async with asyncio.TaskGroup() as group:
        group.create_task(send_after([0, 0.2], 0.2, queue))
        try:
            async with asyncio.timeout(0.1):
                await take_batch(queue, 3)
        except TimeoutError:
            print("cancelled")
        print(f"taken {await take_batch(queue, 3)}")


asyncio.run(main())
