import asyncio
import resource


def memory():
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


async def bench(size):
    before = memory()
    tasks = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(size)]
    # All of them begin before this goes on.
    await asyncio.sleep(0.2)
    needed = memory() - before
    items = sum(not task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return needed, items, items * (items - 1) // 2
