import asyncio

BATCH_SIZE = 5


async def io_bound_task(item):
    # One of them is slow.
    await asyncio.sleep(0.4 if item == 2 else 0.1)
    return item * item


async def checked_task(item):
    result = await io_bound_task(item)
    if item > 20:
        raise ValueError(f"{item} is too large")
    return result


async def process_batches(items):
    results = []
    for start in range(0, len(items), BATCH_SIZE):
        batch = items[start : start + BATCH_SIZE]
        print(f"batch {batch}")
        results += await asyncio.gather(*map(io_bound_task, batch))
    return results


async def try_process_batches(items):
    results = []
    for start in range(0, len(items), BATCH_SIZE):
        batch = items[start : start + BATCH_SIZE]
        print(f"batch {batch}")
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(checked_task(item)) for item in batch]
        results += [task.result() for task in tasks]
    return results


async def main():
    print("Twelve items, one of them slow:")
    items = list(range(12))
    print(await process_batches(items))

    print("An item that fails:")
    items = list(range(14, 26))
    try:
        print(await try_process_batches(items))
    except* ValueError as errors:
        print(f"Error: {errors.exceptions[0]}")


asyncio.run(main())
