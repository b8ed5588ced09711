import asyncio


async def worker(queue):
    while True:
        millis = await queue.get()
        await asyncio.sleep(millis / 1000)
        print(f"slept for {millis} ms")
        queue.task_done()


async def main():
    queue = asyncio.Queue()
    for millis in [300, 200, 100, 250, 200, 150]:
        queue.put_nowait(millis)
    workers = [asyncio.create_task(worker(queue)) for _ in range(3)]
    await queue.join()
    for task in workers:
        task.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    print("all jobs are done")


asyncio.run(main())
