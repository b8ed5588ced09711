import asyncio


async def go_through(name, walk, gate):
    await gate.wait()
    await asyncio.sleep(walk)
    print(f"{name} is through")


def look(gate):
    print(f"the gate is {'open' if gate.is_set() else 'shut'}")


async def listen(name, bell):
    await bell.wait()
    print(f"{name} has heard it")


async def main():
    gate = asyncio.Event()

    async with asyncio.TaskGroup() as tasks:
        print("Two wait, and one comes later:")
        tasks.create_task(go_through("A", 0.05, gate))
        tasks.create_task(go_through("B", 0.1, gate))
        await asyncio.sleep(0.3)
        print("the gate opens")
        gate.set()
        await asyncio.sleep(0.2)
        await go_through("C", 0, gate)

        print("Cleared, and set again while nobody waits:")
        gate.clear()
        try:
            async with asyncio.timeout(0.2):
                await go_through("D", 0, gate)
        except TimeoutError:
            print("D has waited for 0.2 s")
        look(gate)
        gate.set()
        look(gate)
        await asyncio.sleep(0.1)
        await go_through("D", 0, gate)

        print("Set and cleared in one go:")
        gate.clear()
        waiter = tasks.create_task(go_through("E", 0, gate))
        await asyncio.sleep(0.1)
        gate.set()
        gate.clear()
        await waiter

        print("Only those who wait now:")
        bell = asyncio.Event()
        tasks.create_task(listen("F", bell))
        await asyncio.sleep(0.1)
        bell.set()
        bell.clear()
        await asyncio.sleep(0.1)
        try:
            async with asyncio.timeout(0.2):
                await listen("G", bell)
        except TimeoutError:
            print("G came later, and has waited for 0.2 s")


asyncio.run(main())
