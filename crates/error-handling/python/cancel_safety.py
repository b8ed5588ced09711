import asyncio

PATIENCE = 0.25
LENGTH = 4


async def careless(reader):
    while True:
        try:
            async with asyncio.timeout(PATIENCE):
                message = await reader.readexactly(LENGTH)
        except TimeoutError:
            print("nothing yet")
        else:
            print(f"got {message.decode()}")


async def kept(reader):
    while True:
        reading = asyncio.create_task(reader.readexactly(LENGTH))
        while not reading.done():
            await asyncio.wait([reading], timeout=PATIENCE)
            if not reading.done():
                print("nothing yet")
        print(f"got {reading.result().decode()}")


async def put_messages(reader, messages):
    while True:
        await messages.put(await reader.readexactly(LENGTH))


async def received(reader):
    messages = asyncio.Queue(1)
    async with asyncio.TaskGroup() as group:
        group.create_task(put_messages(reader, messages))
        while True:
            try:
                async with asyncio.timeout(PATIENCE):
                    message = await messages.get()
            except TimeoutError:
                print("nothing yet")
            else:
                print(f"got {message.decode()}")


async def send(reader):
    halves = [(0.1, b"AB"), (0.1, b"CD"), (0.1, b"EF"), (0.3, b"GH")]
    for delay, half in halves + [(0.05, b"IJ"), (0.1, b"KL")]:
        await asyncio.sleep(delay)
        print(f"sending {half.decode()}")
        reader.feed_data(half)
    await asyncio.sleep(0.05)
    reader.feed_eof()


async def show(read):
    # A connection would feed it.
    reader = asyncio.StreamReader()
    async with asyncio.TaskGroup() as group:
        group.create_task(send(reader))
        try:
            await read(reader)
        except* asyncio.IncompleteReadError as group:
            partial = group.exceptions[0].partial
            print("unexpected end of file" if partial else "the end")


async def main():
    print("A read that is dropped:")
    await show(careless)

    print("A read that is kept:")
    await show(kept)

    print("A task that reads:")
    await show(received)

    # It is what a StreamReader does.
    print("A struct that keeps the bytes:")
    await show(careless)


asyncio.run(main())
