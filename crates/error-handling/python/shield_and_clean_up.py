import asyncio


class TooLate(Exception):
    pass


class Shield:
    """Runs work that goes on when its caller is cancelled."""

    def __init__(self):
        self._running = set()
        self._finished = False

    async def run(self, work):
        if self._finished:
            work.close()
            raise TooLate
        # The set keeps the task alive: the loop refers to it only weakly.
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        # Like asyncio.shield, which since 3.14 logs an error whose caller has left.
        await asyncio.wait([task])
        return task.result()

    def _ended(self, task):
        self._running.discard(task)
        # The work has reported its error; unread, asyncio would log it once more.
        if not task.cancelled():
            task.exception()

    async def finish(self, limit):
        """Waits until all work has ended; returns how many it had to stop."""
        if self._running:
            await asyncio.wait(self._running, timeout=limit)
        self._finished = True
        late = [task for task in self._running if task.cancel()]
        await asyncio.gather(*late, return_exceptions=True)
        return sum(task.cancelled() for task in late)


async def write(order, rows):
    for row in range(1, rows + 1):
        await asyncio.sleep(0.1)
        print(f"{order}: row {row} of {rows}")
    if order == "Bob":
        raise OSError("the disk is full")
    return rows


async def save(order, rows):
    try:
        return await write(order, rows)
    except OSError as error:
        print(f"{order}: not saved, {error}")
        raise


async def cancel_after(delay, caller):
    caller = asyncio.create_task(caller)
    await asyncio.sleep(delay)
    caller.cancel()
    await asyncio.wait([caller])
    if caller.cancelled():
        print("the caller is cancelled")


async def main():
    shield = Shield()
    rest = 0.25

    def call(order, rows):
        return shield.run(save(order, rows))

    print("No shield:")
    await cancel_after(0.15, save("Ada", 3))
    await asyncio.sleep(rest)

    print("A shield:")
    await cancel_after(0.15, call("Ada", 3))
    await asyncio.sleep(rest)

    print("A shield, and an error after the cancellation:")
    await cancel_after(0.15, call("Bob", 2))
    await asyncio.sleep(rest)

    print("A shield, and no cancellation:")
    for order in ["Ada", "Bob"]:
        try:
            print(f"the caller has saved {await call(order, 1)}")
        except OSError as error:
            print(f"the caller has failed: {error}")

    print("At the end two are running, and get 0.2 s more:")
    await cancel_after(0.05, call("Cyd", 2))
    caller = asyncio.create_task(call("Dan", 4))
    await asyncio.sleep(0.05)
    print(f"stopped: {await shield.finish(0.2)}")
    for order, caller in [("Dan", caller), ("Eve", call("Eve", 1))]:
        try:
            print(f"{order}: {await caller}")
        except asyncio.CancelledError:
            print(f"{order}: stopped half done")
        except TooLate:
            print(f"{order}: not begun")
    await asyncio.sleep(rest)


asyncio.run(main())
