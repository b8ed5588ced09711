import asyncio
import time


def compute(name):
    """Stands for a computation that takes 0.2 s and awaits nothing."""
    time.sleep(0.2)
    print(f"{name} is computed")


async def compute_in_a_task(name):
    compute(name)


async def main():
    print("In one task:")
    await compute_in_a_task("A")
    await compute_in_a_task("B")

    print("In two spawned tasks:")
    first = asyncio.create_task(compute_in_a_task("one half"))
    second = asyncio.create_task(compute_in_a_task("one half"))
    await first
    await second

    print("On threads for blocking calls:")
    calls = [asyncio.to_thread(compute, "one half") for _ in range(2)]
    await asyncio.gather(*calls)


asyncio.run(main())
