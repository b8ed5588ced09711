import asyncio
import sys


async def mean(numbers):
    await asyncio.sleep(1)
    # Only a bug in the caller can cause this.
    assert numbers, "there are no numbers"
    for number in numbers:
        if number < 0:
            raise ValueError(f"{number} is negative")
    return sum(numbers) // len(numbers)


def describe(task):
    """Says how a finished task ended, without awaiting it."""
    if task.cancelled():
        return "Cancelled"
    match task.exception():
        case None:
            return f"Value: {task.result()}"
        case ValueError() as error:
            return f"Error: {error}"
        case bug:
            print(bug, file=sys.stderr)
            return "Bug: the message is on standard error"


async def total(task1, task2):
    return await task1 + await task2


async def main():
    print("Two results:")
    task1 = asyncio.create_task(mean([3, 5]))
    task2 = asyncio.create_task(mean([10, 20]))
    print(f"{await task1}, {await task2}")

    print("Each kind of outcome, half a second after the tasks have ended:")
    value = asyncio.create_task(mean([1, 3]))
    error = asyncio.create_task(mean([1, -2]))
    bug = asyncio.create_task(mean([]))
    cancelled = asyncio.create_task(mean([3, 5]))
    cancelled.cancel()
    await asyncio.sleep(1.5)
    for task in [value, error, bug, cancelled]:
        print(describe(task))

    print("Passed on to the caller:")
    task1 = asyncio.create_task(mean([3, 5]))
    task2 = asyncio.create_task(mean([10, -20]))
    try:
        print(f"Total: {await total(task1, task2)}")
    except ValueError as error:
        print(f"No total: {error}")


asyncio.run(main())
