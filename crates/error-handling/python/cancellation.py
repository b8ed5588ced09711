import asyncio
from contextlib import contextmanager


async def write(lines):
    for line in range(1, lines + 1):
        await asyncio.sleep(0.2)
        print(f"line {line}")
    return f"{lines} written"


@contextmanager
def file():
    try:
        yield
    finally:
        print("the file is closed")


async def write_to_file(lines):
    with file():
        return await write(lines)


async def write_in_any_case(lines):
    try:
        return await write_to_file(lines)
    except:  # which is wrong: `except Exception` lets the cancellation through
        print("an error is ignored")
        return "none written"


async def write_in_a_task(lines):
    task = asyncio.create_task(write(lines))
    return await task


# The same again: who is cancelled cancels what it awaits, unless that is shielded.
write_in_a_bound_task = write_in_a_task


async def write_and_clean_up(lines):
    try:
        await write(lines)
    finally:
        await asyncio.sleep(0.1)
        print("cleaned up")


async def cancel(task):
    await asyncio.sleep(0.5)
    task.cancel()
    try:
        print(f"the task returned: {await task}")
    except asyncio.CancelledError:
        print("the task was cancelled")
    await asyncio.sleep(0.5)


async def main():
    print("Cancelled at an await:")
    await cancel(asyncio.create_task(write_to_file(4)))

    print("Cancelled inside of code that catches everything:")
    await cancel(asyncio.create_task(write_in_any_case(4)))

    print("Cancelled while it awaits a task that it has spawned:")
    await cancel(asyncio.create_task(write_in_a_task(4)))

    print("Cancelled while it awaits a task that is aborted with it:")
    await cancel(asyncio.create_task(write_in_a_bound_task(4)))

    print("Asked to stop by a token, with a clean-up that awaits:")
    task = asyncio.create_task(write_and_clean_up(4))
    await asyncio.sleep(0.5)
    task.cancel()
    await asyncio.wait([task])


asyncio.run(main())
