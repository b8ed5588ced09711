import asyncio
from dataclasses import dataclass


class Ended(Exception):
    pass


class Actor:
    """Handles messages one after the other, in a task of its own."""

    def __init__(self, mailbox):
        self._mailbox = asyncio.Queue(mailbox)
        self._ended = False
        self.task = asyncio.create_task(self._run())

    async def tell(self, message):
        await self._send(message, None)

    async def ask(self, message):
        reply = asyncio.get_running_loop().create_future()
        await self._send(message, reply)
        return await reply

    async def stop(self):
        """Lets it handle what it was told, and ends it."""
        await self._mailbox.join()
        self.task.cancel()
        await asyncio.wait([self.task])

    async def _send(self, message, reply):
        if self._ended:
            raise Ended("the actor had ended before")
        await self._mailbox.put((message, reply))
        # It may have ended while this waited for room.
        if self._ended:
            self._mailbox.get_nowait()
            self._mailbox.task_done()
            raise Ended("the actor had ended before")

    async def _run(self):
        try:
            while True:
                message, reply = await self._mailbox.get()
                try:
                    if await self.handle(message, reply) is Close:
                        break
                finally:
                    self._done(reply)
        finally:
            self._ended = True
            while not self._mailbox.empty():
                self._done(self._mailbox.get_nowait()[1])

    def _done(self, reply):
        if reply is not None and not reply.done():
            reply.set_exception(Ended("there was no reply"))
        self._mailbox.task_done()


@dataclass
class Deliver:
    count: int


@dataclass
class Take:
    count: int


class Audit:
    pass


class Close:
    pass


class TooMany(Exception):
    pass


class Store(Actor):
    def __init__(self, apples, mailbox):
        super().__init__(mailbox)
        self.apples = apples

    async def handle(self, order, reply):
        await asyncio.sleep(0.2)
        match order:
            case Deliver(count):
                self.apples += count
            case Take(count):
                enough = count <= self.apples
                self.apples -= count if enough else 0
                print(f"{self.apples} apples in the store")
                # Who asked may have given up: the future is cancelled then.
                if reply.done():
                    return
                if enough:
                    reply.set_result(self.apples)
                else:
                    reply.set_exception(TooMany(f"{count} are too many"))
            case Audit():
                raise AssertionError("the ledger is torn")
            case Close():
                return Close


async def take(store, count):
    """Takes apples, and says what came of it."""
    try:
        left = await store.ask(Take(count))
        return f"took {count}, which leaves {left}"
    except (TooMany, Ended) as error:
        return f"took none: {error}"


async def deliver(store, counts):
    for count in counts:
        await store.tell(Deliver(count))
        print(f"{count} on the way")


async def main():
    moment = 0.1

    print("Asked and answered:")
    store = Store(5, 2)
    print(await take(store, 2))
    print(await take(store, 4))

    print("Two messages fit into the mailbox, a third waits:")

    async def deliver_later():
        await asyncio.sleep(moment)
        await deliver(store, [10, 20, 30])

    took, _ = await asyncio.gather(take(store, 1), deliver_later())
    print(took)

    print("A caller gives up after 0.1 s:")
    await asyncio.sleep(7 * moment)
    try:
        async with asyncio.timeout(moment):
            print(await take(store, 3))
    except TimeoutError:
        print("gave up")

    # An actor ends in asyncio only when it is told to.
    print("The last caller leaves:")
    await store.stop()
    print(f"the store ends with {store.apples} apples")

    print("Stopped by a message, with one more in the mailbox and one that waits:")
    store = Store(store.apples, 1)
    await store.tell(Close())

    async def take_later():
        await asyncio.sleep(moment)
        return await take(store, 1)

    first, second = await asyncio.gather(take(store, 1), take_later())
    print(first)
    print(second)
    await store.task
    print(f"the store ends with {store.apples} apples")

    print("Stopped by a panic:")
    store = Store(5, 1)
    try:
        await store.ask(Audit())
    except Ended as ended:
        print(f"no audit: {ended}")
    try:
        await store.task
    except AssertionError:
        print("the actor panicked")
    print(await take(store, 1))


asyncio.run(main())
