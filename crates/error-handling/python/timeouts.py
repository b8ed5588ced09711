import asyncio
from contextlib import contextmanager


class NotFound(Exception):
    pass


class TooLate(Exception):
    pass


async def fetch_within(limit, page):
    try:
        async with asyncio.timeout(limit) as deadline:
            return await fetch(page)
    except TimeoutError as error:
        # What the call itself has raised looks the same.
        if deadline.expired():
            raise TooLate("no answer in time") from error
        raise


async def join_or_stop(limit, task):
    """What the task returned, or None if it had to be stopped."""
    # wait_for cancels the task, and waits until it has ended.
    try:
        return await asyncio.wait_for(task, limit)
    except TimeoutError:
        return None


@contextmanager
def connection(page):
    try:
        yield
    finally:
        print(f"the connection for {page} is closed")


async def fetch(page):
    with connection(page):
        await asyncio.sleep(0.5 if page == "/slow" else 0.1)
        if page == "/missing":
            raise NotFound(f"no such page: {page}")
        if page == "/busy":
            raise TimeoutError("the server itself waited too long")
        return f"the page {page}"


async def pay(steps):
    for step in range(1, steps + 1):
        await asyncio.sleep(0.1)
        print(f"payment: step {step} of {steps}")
    return steps


async def main():
    limit = 0.25

    print("A timeout around a call:")
    for page in ["/quick", "/missing", "/busy", "/slow"]:
        try:
            print(f"got {await fetch_within(limit, page)}")
        except (TooLate, NotFound, TimeoutError) as error:
            print(f"error: {error}")

    print("Around a task: the wait ends, and the task goes on:")
    task = asyncio.create_task(pay(4))
    try:
        await asyncio.wait_for(asyncio.shield(task), limit)
    except TimeoutError:
        print("timed out, but the payment goes on")
        print(f"paid in {await task} steps")

    print("Around a task, which is then cancelled:")
    for steps in [2, 4]:
        steps = await join_or_stop(limit, asyncio.create_task(pay(steps)))
        print("stopped" if steps is None else f"paid in {steps} steps")


asyncio.run(main())
