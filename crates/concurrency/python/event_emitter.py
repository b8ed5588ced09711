import asyncio


class EventEmitter:
    def __init__(self):
        self.listeners = {}

    def on(self, event, listener):
        """Returns a function that unsubscribes the listener."""
        listeners = self.listeners.setdefault(event, [])
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    async def emit(self, event, data):
        """Calls all listeners concurrently, and returns their errors."""
        calls = [listener(data) for listener in self.listeners.get(event, [])]
        results = await asyncio.gather(*calls, return_exceptions=True)
        return [result for result in results if isinstance(result, Exception)]


async def receive(data):
    print(f"Received: {data}")


async def store(data):
    await asyncio.sleep(0.1)
    if len(data) > 12:
        raise ValueError(f"no room for {data}")
    print(f"Stored: {data}")


async def spell(data):
    """Takes 50 ms for each letter, and half a second at most."""
    try:
        async with asyncio.timeout(0.5):
            await asyncio.sleep(0.05 * len(data))
    except TimeoutError:
        raise TimeoutError("too slow") from None
    print(f"Spelt: {data}")


async def forward(emitter, data):
    """Emits the data as another event."""
    for error in await emitter.emit("data", f"{data}!"):
        raise error


async def report(emitter, event, data):
    errors = await emitter.emit(event, data)
    for error in errors:
        print(f"A listener failed: {error}")
    print(f"Emitted {data}: {len(errors)} failed")


async def main():
    emitter = EventEmitter()
    stop_receiving = emitter.on("data", receive)
    emitter.on("data", store)
    emitter.on("data", spell)
    stop_forwarding = emitter.on("alarm", lambda data: forward(emitter, data))

    print("Three listeners:")
    await report(emitter, "data", "Hello")
    print("One fails, and one times out:")
    await report(emitter, "data", "Hello, World!")
    print("One is unsubscribed:")
    stop_receiving()
    await report(emitter, "data", "Bye")
    print("A listener emits a second event; then it is unsubscribed:")
    await report(emitter, "alarm", "Fire")
    stop_forwarding()
    await report(emitter, "alarm", "Fire")


asyncio.run(main())
