import asyncio

LIMIT = 3
END = None


async def write_batches(rows):
    while (row := await rows.get()) is not END:
        batch = [row]
        more = True
        while more and len(batch) < LIMIT:
            try:
                row = rows.get_nowait()
            except asyncio.QueueEmpty:
                break
            if row is END:
                more = False
            else:
                batch.append(row)
        print(f"writing {batch}")
        await asyncio.sleep(0.25)
        if not more:
            break
    print("all written")


def take_waiting(rows):
    taken = []
    while True:
        try:
            row = rows.get_nowait()
        except asyncio.QueueEmpty:
            return taken, True
        if row is END:
            return taken, False
        taken.append(row)


def report(taken, more):
    then = "more may come" if more else "that is all"
    print(f"took {taken}, {then}")


async def main():
    print("While one batch is written, the next one gathers:")
    rows = asyncio.Queue()
    writer = asyncio.create_task(write_batches(rows))
    bursts = [
        (0.1, range(1, 2)),
        (0.1, range(2, 4)),
        (0.4, range(4, 5)),
        (0.05, range(5, 9)),
    ]
    for pause, burst in bursts:
        await asyncio.sleep(pause)
        for row in burst:
            rows.put_nowait(row)
    rows.put_nowait(END)
    await writer

    print("Without waiting:")
    rows = asyncio.Queue()
    rows.put_nowait(1)
    rows.put_nowait(2)
    report(*take_waiting(rows))
    report(*take_waiting(rows))
    rows.put_nowait(3)
    rows.put_nowait(END)
    report(*take_waiting(rows))


asyncio.run(main())
