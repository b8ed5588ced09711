import asyncio


async def work(jobs):
    while True:
        number = await jobs.get()
        try:
            await asyncio.sleep(0.1)
            print(f"job {number} {'failed' if number == 2 else 'done'}")
        finally:
            jobs.task_done()


async def main():
    jobs = asyncio.Queue(2)
    worker = asyncio.create_task(work(jobs))

    print("Put and joined:")
    for number in range(1, 5):
        await jobs.put(number)
        print(f"put {number}")
    await jobs.join()
    print("all processed")

    print("Once more, with the same queue:")
    await jobs.put(5)
    await jobs.join()
    print("all processed")

    print("A worker that is cancelled:")
    await jobs.put(6)
    await jobs.put(7)
    await asyncio.sleep(0.05)
    worker.cancel()
    try:
        async with asyncio.timeout(0.3):
            await jobs.join()
        print("nothing is unfinished")
    except TimeoutError:
        print("unfinished after 0.3 s")


asyncio.run(main())
