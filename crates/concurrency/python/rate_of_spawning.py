import asyncio


async def job(number):
    await asyncio.sleep(0.1)
    return number


async def permit_inside(jobs, limit):
    """Makes all tasks at once; each waits for its permit inside."""
    permits = asyncio.Semaphore(limit)

    async def wait_and_work(number):
        async with permits:
            return await job(number)

    tasks = [asyncio.create_task(wait_and_work(number)) for number in range(jobs)]
    return sum(await asyncio.gather(*tasks))


async def permit_before(jobs, limit):
    """Makes a task only when there is a permit for it."""
    permits = asyncio.Semaphore(limit)
    tasks = set()
    total = 0

    def done(task):
        nonlocal total
        permits.release()
        tasks.remove(task)
        total += task.result()

    for number in range(jobs):
        await permits.acquire()
        task = asyncio.create_task(job(number))
        tasks.add(task)
        task.add_done_callback(done)
    while tasks:
        await asyncio.wait(tasks)
    return total


async def nobody_takes(jobs, limit):
    """Keeps each task until all have ended."""
    permits = asyncio.Semaphore(limit)
    tasks = []
    for number in range(jobs):
        await permits.acquire()
        task = asyncio.create_task(job(number))
        task.add_done_callback(lambda _: permits.release())
        tasks.append(task)
    await asyncio.sleep(0.2)
    return len(tasks)


async def count_tasks(before, running):
    """Prints how many more tasks are alive than before, after 0.05 s and 0.15 s."""
    task = asyncio.create_task(running)
    for delay in [0.05, 0.1]:
        await asyncio.sleep(delay)
        print(f"{len(asyncio.all_tasks()) - before - 1} tasks")
    return await task


async def main():
    before = len(asyncio.all_tasks())

    print("A permit inside the task:")
    total = await count_tasks(before, permit_inside(500, 200))
    print(f"sum {total}")

    print("A permit before the spawn:")
    total = await count_tasks(before, permit_before(500, 200))
    print(f"sum {total}")

    print("Results that nobody takes:")
    kept = await count_tasks(before, nobody_takes(500, 200))
    print(f"{kept} kept")


asyncio.run(main())
