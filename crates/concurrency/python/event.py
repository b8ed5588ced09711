import asyncio


async def go_through(name, walk, gate):
    await gate.wait()
    await asyncio.sleep(walk)
    print(f"{name} is through")


async def main():
    gate = asyncio.Event()

    print("Two wait, and one comes later:")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(go_through("A", 0.05, gate))
        tasks.create_task(go_through("B", 0.1, gate))
        await asyncio.sleep(0.3)
        print("the gate opens")
        gate.set()
    await go_through("C", 0, gate)

    print("Cleared, and set again later:")
    gate.clear()
    print("open" if gate.is_set() else "shut")
    try:
        async with asyncio.timeout(0.2):
            await gate.wait()
    except TimeoutError:
        print("D still waits after 0.2 s")
    gate.set()
    await go_through("D", 0, gate)

    print("Set and cleared in one go:")
    gate.clear()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(go_through("E", 0, gate))
        await asyncio.sleep(0.1)
        gate.set()
        gate.clear()


asyncio.run(main())
