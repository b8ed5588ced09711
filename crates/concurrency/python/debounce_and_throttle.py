import asyncio


async def debounce(events, quiet, at_most):
    """Yields an event when no other has come for a while."""
    loop = asyncio.get_running_loop()
    while (event := await events.get()) is not None:
        latest = loop.time() + at_most
        try:
            while event is not None:
                async with asyncio.timeout_at(min(loop.time() + quiet, latest)):
                    newer = await events.get()
                if newer is None:
                    yield event
                    return
                event = newer
        except TimeoutError:
            yield event


async def throttle(events, interval):
    """Yields at most one event in each interval, always the newest."""
    loop = asyncio.get_running_loop()
    next_time = loop.time()
    ended = False
    while not ended and (event := await events.get()) is not None:
        try:
            # Reads meanwhile: a full queue would slow the producer down.
            async with asyncio.timeout_at(next_time):
                while (newer := await events.get()) is not None:
                    event = newer
                ended = True
                await asyncio.sleep(interval)
        except TimeoutError:
            next_time = loop.time() + interval
            yield event


async def type_words(events):
    for event in range(1, 11):
        await events.put(event)
        await asyncio.sleep(0.4 if event == 4 else 0.1)
    await events.put(None)


async def main():
    print("Debounced by 250 ms:")
    events = asyncio.Queue(8)
    typist = asyncio.create_task(type_words(events))
    async for event in debounce(events, 0.25, 2.5):
        print(f"Event {event}")
    await typist

    print("Throttled to one in 220 ms:")
    events = asyncio.Queue(8)
    typist = asyncio.create_task(type_words(events))
    async for event in throttle(events, 0.22):
        print(f"Event {event}")
    await typist


asyncio.run(main())
