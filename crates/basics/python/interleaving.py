import asyncio
from dataclasses import dataclass


@dataclass
class Total:
    value: int = 0


async def worker(name, delay):
    print(f"{name}: Starting")
    await asyncio.sleep(delay)
    print(f"{name}: Finished")
    return f"{name} result"


async def add(total, amount, delay):
    await asyncio.sleep(delay)
    total.value = total.value + amount


async def add_late(total, amount, delay):
    seen = total.value
    await asyncio.sleep(delay)
    total.value = seen + amount


async def main():
    print("Main: Starting")
    workers = [("Worker-1", 0.3), ("Worker-2", 0.1), ("Worker-3", 0.2)]
    results = await asyncio.gather(*(worker(name, delay) for name, delay in workers))
    print("Main: All done")
    print(f"Results: {', '.join(results)}")

    additions = [(1, 0.1), (10, 0.2), (100, 0.3)]

    total = Total()
    await asyncio.gather(*(add(total, n, delay) for n, delay in additions))
    print(f"Read and written in one turn: {total.value}")

    total = Total()
    await asyncio.gather(*(add_late(total, n, delay) for n, delay in additions))
    print(f"Read in one turn, written in another: {total.value}")


asyncio.run(main())
