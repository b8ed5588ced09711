import asyncio

QUIET = 0.25
LENGTH = 4


async def careless(reader):
    while True:
        try:
            async with asyncio.timeout(QUIET):
                message = await reader.readexactly(LENGTH)
        except TimeoutError:
            print("no message for 0.25 s")
        else:
            print(f"got {message.decode()}")


async def kept(reader):
    while True:
        reading = asyncio.create_task(reader.readexactly(LENGTH))
        while not reading.done():
            await asyncio.wait([reading], timeout=QUIET)
            if not reading.done():
                print("no message for 0.25 s")
        print(f"got {reading.result().decode()}")


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
        except asyncio.IncompleteReadError:
            print("the end: unexpected end of file")


async def main():
    print("A read that is cancelled half-way:")
    await show(careless)

    print("A read that goes on meanwhile:")
    await show(kept)

    # It is what a StreamReader does.
    print("A struct that keeps the bytes:")
    await show(careless)


asyncio.run(main())
