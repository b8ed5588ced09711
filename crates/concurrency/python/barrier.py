import asyncio


async def work(name, delays, barrier):
    for step, delay in zip(["loaded", "computed"], delays):
        await asyncio.sleep(delay)
        print(f"{name} has {step}")
        if await barrier.wait() == 0:
            print(f"all have {step}")


async def wait(barrier):
    try:
        await barrier.wait()
        print("A passes")
    except asyncio.BrokenBarrierError:
        print("A stops waiting: the barrier is broken")


async def fail(barrier):
    await asyncio.sleep(0.2)
    print("B fails")
    await barrier.abort()


async def main():
    print("Three workers, two steps:")
    barrier = asyncio.Barrier(3)
    async with asyncio.TaskGroup() as workers:
        workers.create_task(work("A", [0.1, 0.3], barrier))
        workers.create_task(work("B", [0.3, 0.1], barrier))
        workers.create_task(work("C", [0.2, 0.2], barrier))

    print("A worker fails, and breaks the barrier:")
    barrier = asyncio.Barrier(2)
    await asyncio.gather(wait(barrier), fail(barrier))

    print("A worker gives up, and another one comes:")
    barrier = asyncio.Barrier(2)
    for name in ["A", "B"]:
        try:
            async with asyncio.timeout(0.2):
                await barrier.wait()
            print(f"{name} passes")
        except TimeoutError:
            print(f"{name} gives up after 0.2 s")


asyncio.run(main())
