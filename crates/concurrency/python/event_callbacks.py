import asyncio


class EventEmitter:
    def __init__(self):
        self.events = {}

    def on(self, event, callback):
        self.events.setdefault(event, []).append(callback)

    async def emit(self, event, data):
        for callback in self.events.get(event, []):
            await callback(data)


async def handle_event(data):
    if not data:
        raise ValueError("there is no data")
    print(f"Received: {data}")


async def count_characters(data):
    print(f"{len(data)} characters")


async def main():
    emitter = EventEmitter()
    emitter.on("data", handle_event)
    emitter.on("data", count_characters)
    await emitter.emit("data", "Hello World")
    try:
        await emitter.emit("data", "")
    except ValueError as error:
        print(f"Error: {error}")


asyncio.run(main())
