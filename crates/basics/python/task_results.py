import asyncio

MAX = 2**31 - 1


async def calculate(x, y):
    await asyncio.sleep(1)
    # What only a bug in the caller can cause is not an error to handle.
    assert x >= 0, "x is never negative"
    if y < 0:
        raise ValueError(f"{y} is negative")
    assert x + y <= MAX, "the sum is too large"
    return x + y


async def describe(task):
    try:
        return f"Value: {await task}"
    except ValueError as error:
        return f"Error: {error}"
    except AssertionError as bug:
        return f"Panic: {bug}"
    except asyncio.CancelledError:
        return "Cancelled"


async def total(task1, task2):
    return await task1 + await task2


async def main():
    task1 = asyncio.create_task(calculate(5, 3))
    task2 = asyncio.create_task(calculate(10, 20))
    result1 = await task1
    result2 = await task2
    print(f"Results: {result1}, {result2}")

    print("Each kind of outcome, half a second after the tasks have ended:")
    value = asyncio.create_task(calculate(1, 2))
    error = asyncio.create_task(calculate(1, -2))
    bug = asyncio.create_task(calculate(-1, 2))
    overflow = asyncio.create_task(calculate(1, MAX))
    stopped = asyncio.create_task(calculate(3, 4))
    stopped.cancel()
    await asyncio.sleep(1.5)
    print(await describe(value))
    print(await describe(error))
    print(await describe(bug))
    print(await describe(overflow))
    print(await describe(stopped))

    print("Passed on to the caller:")
    task1 = asyncio.create_task(calculate(5, 3))
    task2 = asyncio.create_task(calculate(10, -20))
    try:
        print(f"Total: {await total(task1, task2)}")
    except ValueError as error:
        print(f"No total: {error}")


asyncio.run(main())
