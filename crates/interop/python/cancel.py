import asyncio

try:
    from cancel_rs import notes, shielded, work
except ImportError:
    NOTES = []

    async def work(name, ms):
        try:
            await asyncio.sleep(ms / 1000)
        except asyncio.CancelledError:
            NOTES.append(f"{name} cancelled")
            raise
        NOTES.append(f"{name} done")

    async def shielded(name, ms):
        await asyncio.shield(asyncio.create_task(work(name, ms)))

    def notes():
        taken = NOTES[:]
        NOTES.clear()
        return taken


async def noted():
    while not (lines := notes()):
        await asyncio.sleep(0.01)
    print(*lines)


async def main():
    try:
        async with asyncio.timeout(0.05):
            await work("a", 60_000)
    except TimeoutError:
        print("timed out")
    await noted()

    async def caller():
        await work("b", 60_000)

    task = asyncio.create_task(caller())
    await asyncio.sleep(0.05)
    task.cancel()
    task.cancel()  # a second request is harmless
    await asyncio.wait([task])
    print("cancelled:", task.cancelled())
    await noted()

    try:
        async with asyncio.timeout(0.05):
            await shielded("c", 1000)
    except TimeoutError:
        print("timed out")
    await noted()


if __name__ == "__main__":
    asyncio.run(main())
