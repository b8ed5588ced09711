import asyncio
import functools
import time


def timed(function):
    """Decorates a coroutine function: prints how long each call of it took."""

    @functools.wraps(function)
    async def wrapper(*args, **kwargs):
        started = time.perf_counter()
        ending = "took"
        try:
            return await function(*args, **kwargs)
        except asyncio.CancelledError:
            ending = "was stopped after"
            raise
        finally:
            took = time.perf_counter() - started
            print(f"{function.__name__} {ending} {took:.1f} s")

    return wrapper


@timed
async def fetch(page, delay):
    await asyncio.sleep(delay)
    if page == "/broken":
        raise ConnectionError(f"{page} is broken")
    return f"the page {page}"


@timed
async def fetch_twice(page):
    try:
        return await fetch(page, 0.16)
    except ConnectionError:
        await asyncio.sleep(0.26)
        return await fetch(page, 0.16)


async def main():
    print("Timed without the await, and with it:")
    started = time.perf_counter()
    coroutine = fetch("/a", 0.26)
    print(f"the call took {time.perf_counter() - started:.1f} s")
    print(f"got {await coroutine}")

    print("A failure:")
    try:
        await fetch("/broken", 0.26)
    except ConnectionError as error:
        print(f"error: {error}")

    print("Stopped by a timeout, and by a cancellation:")
    try:
        async with asyncio.timeout(0.16):
            await fetch("/slow", 0.5)
    except TimeoutError:
        print("timed out")
    task = asyncio.create_task(fetch("/slow", 0.5))
    await asyncio.sleep(0.06)
    task.cancel()
    await asyncio.wait([task])
    if task.cancelled():
        print("cancelled")

    print("Two attempts, each timed, and both together:")
    try:
        await fetch_twice("/broken")
    except ConnectionError as error:
        print(f"error: {error}")


asyncio.run(main())
