import asyncio
from contextlib import contextmanager
from weakref import WeakSet


class Stopped(Exception):
    def __str__(self):
        return f"stopped, {self.args[0]}"


class Stop:
    """An event that is set for a reason, with children that are set by it."""

    def __init__(self):
        self.reason = None
        self._event = asyncio.Event()
        self._children = WeakSet()

    def child(self):
        child = Stop()
        if self.reason is not None:
            child.cancel(self.reason)
        self._children.add(child)
        return child

    def cancel(self, reason):
        if self.reason is None:
            self.reason = reason
            self._event.set()
            for child in list(self._children):
                child.cancel(reason)

    @contextmanager
    def on_exit(self, reason):
        try:
            yield
        finally:
            self.cancel(reason)

    async def run(self, work):
        if self.reason is not None:
            work.close()
            raise Stopped(self.reason)
        work = asyncio.create_task(work)
        stopped = asyncio.create_task(self._event.wait())
        both = [work, stopped]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            raise Stopped(self.reason)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)


async def request(name, work, clean_up, stop):
    try:
        await stop.run(asyncio.sleep(work))
        print(f"{name}: done")
    except Stopped as stopped:
        await asyncio.sleep(clean_up)
        print(f"{name}: {stopped}")


async def main():
    pause = 0.2
    server = Stop()

    async with asyncio.TaskGroup() as requests:

        def spawn(*args):
            requests.create_task(request(*args))

        print("Two connections with three requests each:")
        first = server.child()
        client = first.child()
        spawn("1a", 0.9, 0.05, client)
        spawn("1b", 0.9, 0.1, first.child())
        spawn("1c", 0.9, 0.15, first.child())
        second = server.child()
        with second.on_exit("the connection is lost"):
            spawn("2a", 0.1, 0.05, second.child())
            spawn("2b", 0.9, 0.05, second.child())
            spawn("2c", 0.9, 0.1, second.child())
            await asyncio.sleep(pause)

            print("One request is stopped:")
            client.cancel("the client left")
            await asyncio.sleep(pause)

            print("The owner of a connection is dropped:")
        await asyncio.sleep(pause)

        print("A clone of the first connection's token stops all its requests:")
        no_child = first
        no_child.cancel("too many errors")
        await asyncio.sleep(pause)

        print("The server is stopped; another connection opens after that:")
        spawn("3a", 0.9, 0.05, server.child())
        await asyncio.sleep(pause)
        server.cancel("shutting down")
        await asyncio.sleep(pause)
        spawn("4a", 0.9, 0.05, server.child())

    print("The first reason stays:")
    for stop in [client, first, server]:
        stop.cancel("later")
        print(stop.reason)


asyncio.run(main())
