import asyncio

WORKERS = 3


async def work(name, delays, barrier):
    for step, delay in zip(["loaded", "computed"], delays):
        await asyncio.sleep(delay)
        print(f"{name} has {step}")
        if await barrier.wait() == 0:
            print(f"all have {step}")


async def load(name, delay, barrier):
    await asyncio.sleep(delay)
    if name == "B":
        print(f"B fails while {barrier.n_waiting} of {barrier.parties} wait")
        await barrier.abort()
        return
    try:
        await barrier.wait()
        print(f"{name} goes on")
    except asyncio.BrokenBarrierError:
        # To tell them apart in the transcript.
        await asyncio.sleep(delay)
        print(f"{name} goes home")


async def main():
    print("Two steps:")
    barrier = asyncio.Barrier(WORKERS)
    async with asyncio.TaskGroup() as workers:
        workers.create_task(work("A", [0.1, 0.3], barrier))
        workers.create_task(work("B", [0.3, 0.1], barrier))
        workers.create_task(work("C", [0.2, 0.2], barrier))

    print("One fails:")
    barrier = asyncio.Barrier(WORKERS)
    async with asyncio.TaskGroup() as workers:
        for name, delay in [("A", 0.1), ("B", 0.3), ("C", 0.2)]:
            workers.create_task(load(name, delay, barrier))
    if barrier.broken:
        print("the barrier is broken")

    print("One gives up:")
    barrier = asyncio.Barrier(2)
    for name in ["A", "B"]:
        try:
            async with asyncio.timeout(0.2):
                await barrier.wait()
            print(f"{name} passes")
        except TimeoutError:
            print(f"{name} gives up after 0.2 s")


asyncio.run(main())
