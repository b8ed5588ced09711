import asyncio


class EventEmitter:
    def __init__(self, limit):
        self.limit = limit
        self.listeners = {}

    def on(self, event, listener):
        """Returns a function that unsubscribes the listener."""
        listeners = self.listeners.setdefault(event, [])
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    async def emit(self, event, data):
        """Calls all listeners at the same time; returns what went wrong."""
        calls = [
            asyncio.wait_for(listener(data), self.limit)
            for listener in self.listeners.get(event, [])
        ]
        results = await asyncio.gather(*calls, return_exceptions=True)
        return [result for result in results if isinstance(result, Exception)]


def describe(error):
    if isinstance(error, TimeoutError):
        return "too slow"
    return f"failed: {error}"


async def receive(data):
    print(f"Received: {data}")


async def store(data):
    await asyncio.sleep(0.1)
    if len(data) > 12:
        raise ValueError(f"no room for {data}")
    print(f"Stored: {data}")


async def spell(data):
    """Takes 50 ms for each letter."""
    await asyncio.sleep(0.05 * len(data))
    print(f"Spelt: {data}")


async def forward(emitter, data):
    """Emits the data as another event."""
    for error in await emitter.emit("data", f"{data}!"):
        raise error


async def report(emitter, event, data):
    errors = await emitter.emit(event, data)
    for error in errors:
        print(f"A listener {describe(error)}")
    print(f"Emitted {data}: {len(errors)} went wrong")


async def main():
    emitter = EventEmitter(0.5)
    stop_receiving = emitter.on("data", receive)
    emitter.on("data", store)
    emitter.on("data", spell)
    stop_forwarding = emitter.on("alarm", lambda data: forward(emitter, data))

    print("Three listeners:")
    await report(emitter, "data", "Hello")
    print("One fails, and one is slower than half a second:")
    await report(emitter, "data", "Hello, World!")
    print("One is unsubscribed:")
    stop_receiving()
    await report(emitter, "data", "Bye")
    print("Another event, then nobody listens to it any more:")
    await report(emitter, "alarm", "Fire")
    stop_forwarding()
    await report(emitter, "alarm", "Fire")


asyncio.run(main())
