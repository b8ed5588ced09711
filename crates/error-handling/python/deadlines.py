import asyncio


def left(deadline):
    return deadline.when() - asyncio.get_running_loop().time()


def after(limit):
    return asyncio.get_running_loop().time() + limit


async def fetch(part, delay):
    await asyncio.sleep(delay)
    print(part)


async def orders():
    try:
        async with asyncio.timeout(0.1):
            await fetch("orders from the cache", 0.3)
    except TimeoutError:
        await fetch("orders", 0.2)


async def page(deadline):
    await fetch("user", 0.2)
    await orders()
    if left(deadline) >= 0.4:
        await fetch("reviews", 0.2)
    else:
        print("no time for reviews")


async def download():
    limit = 0.3
    async with asyncio.timeout(limit) as deadline:
        for number, delay in enumerate([0.2, 0.2, 0.5], start=1):
            await fetch(f"chunk {number}", delay)
            deadline.reschedule(after(limit))


async def report(work):
    try:
        await work
        print("in time")
    except TimeoutError:
        print("error: the deadline has passed")


async def main():
    print("0.25 s for each of three calls:")

    async def calls():
        for part in ["user", "orders", "reviews"]:
            async with asyncio.timeout(0.25):
                await fetch(part, 0.2)

    await report(calls())

    for millis in [1000, 800, 400]:
        print(f"{millis} ms for all of them:")

        async def whole():
            async with asyncio.timeout(millis / 1000) as deadline:
                await page(deadline)

        await report(whole())

    print("Moved by each chunk:")
    await report(download())

    print("Moved by another task:")
    # A deadline ends only the task in which it stands, so each task has one.
    moment = after(1)
    deadlines = []

    async def upload(name, delay):
        async with asyncio.timeout_at(moment) as deadline:
            deadlines.append(deadline)
            await fetch(name, delay)

    uploads = [
        asyncio.create_task(upload(*call))
        for call in [("upload", 0.15), ("upload of everything", 0.8)]
    ]
    await asyncio.sleep(0.1)
    print("closing in 0.1 s")
    for deadline in deadlines:
        deadline.reschedule(after(0.1))
    for task in uploads:
        await report(task)


asyncio.run(main())
