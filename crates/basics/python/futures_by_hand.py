import asyncio


class Refused(Exception):
    pass


class Lost(Exception):
    pass


class Calls:
    """The calls that wait for a reply, by number."""

    def __init__(self):
        self.waiting = {}

    async def call(self, number):
        future = asyncio.get_running_loop().create_future()
        self.waiting[number] = future
        try:
            return await future
        finally:
            self.waiting.pop(number, None)

    def reply(self, number, result=None, error=None):
        """Gives the reply to who waits for it. False if nobody does."""
        future = self.waiting.pop(number, None)
        # Who waited may have given up in this very turn of the loop.
        if future is None or future.done():
            return False
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)
        return True

    def lose(self):
        for number in list(self.waiting):
            self.reply(number, error=Lost())


def report(who, future):
    match future.exception():
        case None:
            print(f"{who}: {future.result()}")
        case Refused() as error:
            print(f"{who}: refused, {error}")
        case Lost():
            print(f"{who}: lost")


def look(future):
    print(f"done: {str(future.done()).lower()}")
    try:
        print(f"result: {future.result()}")
    except asyncio.InvalidStateError:
        print("no result yet")


async def set_twice(future):
    await asyncio.sleep(1)
    for result in [42, 43]:
        try:
            future.set_result(result)
        except asyncio.InvalidStateError:
            print(f"{result} is refused: it is set")


async def make_call(calls, number):
    try:
        async with asyncio.timeout(0.5):
            print(f"call {number}: {await calls.call(number)}")
    except TimeoutError:
        print(f"call {number}: no reply in time")
    except Refused as error:
        print(f"call {number}: refused, {error}")
    except Lost:
        print(f"call {number}: lost")


async def wait_for(name, future):
    await asyncio.wait([future])
    report(name, future)


async def main():
    loop = asyncio.get_running_loop()

    print("Looked at, set, and set again:")
    future = loop.create_future()
    look(future)
    setter = asyncio.create_task(set_twice(future))
    result = await future
    print(f"awaited: {result}")
    await setter
    look(future)

    print("Calls, and replies by number:")
    calls = Calls()
    callers = []
    for number in range(1, 4):
        callers.append(asyncio.create_task(make_call(calls, number)))
    await asyncio.sleep(0.2)
    calls.reply(2, error=Refused("no such page"))
    await asyncio.sleep(0.1)
    calls.reply(1, "a page")
    await asyncio.sleep(0.3)
    if not calls.reply(3, "too late"):
        print("nobody waits for the reply to call 3")
    callers.append(asyncio.create_task(make_call(calls, 4)))
    await asyncio.sleep(0.1)
    calls.lose()
    for caller in callers:
        await caller

    print("Who waits gives up:")
    future = loop.create_future()
    # The time limit cancels the future.
    try:
        async with asyncio.timeout(0.5):
            await future
    except TimeoutError:
        print("no result in time")
    print(f"cancelled: {str(future.cancelled()).lower()}")
    try:
        future.set_result("late")
    except asyncio.InvalidStateError:
        print("late is refused: nobody waits")

    print("Who should set it gives up:")
    future = loop.create_future()
    future.cancel()
    try:
        print(f"awaited: {await future}")
    except asyncio.CancelledError:
        print("awaited: cancelled")

    print("Two callbacks, of which one is removed, and two who wait:")
    for result, error in [("a page", None), (None, Refused("no such page"))]:
        future = loop.create_future()

        def removed(future):
            report("removed", future)

        future.add_done_callback(lambda future: report("callback", future))
        future.add_done_callback(removed)
        waiters = []
        for name in ["first", "second"]:
            waiters.append(asyncio.create_task(wait_for(name, future)))
        await asyncio.sleep(0.1)
        future.remove_done_callback(removed)
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)
        for waiter in waiters:
            await waiter
        await asyncio.sleep(0.1)


asyncio.run(main())
