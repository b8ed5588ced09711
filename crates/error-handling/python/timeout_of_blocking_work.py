import asyncio
import threading
import time


async def run_blocking(work):
    """Runs the work in a thread, and hands it a flag to look at."""
    stop = threading.Event()
    try:
        return await asyncio.to_thread(work, stop)
    finally:
        stop.set()


async def run_blocking_for(limit, work):
    """The same with a limit, after which it waits until the work has ended."""
    stop = threading.Event()
    task = asyncio.create_task(asyncio.to_thread(work, stop))
    try:
        await asyncio.wait([task], timeout=limit)
    finally:
        stop.set()
    return await task


def index_pages(pages, stop):
    for page in range(1, pages + 1):
        if stop.is_set():
            return page - 1
        time.sleep(0.3)
        print(f"page {page}")
    return pages


async def main():
    limit = 0.45
    long_limit = 30
    rest = 0.8
    never = threading.Event()

    print("A limit of 0.45 s around blocking code in the same task:")
    try:
        async with asyncio.timeout(limit):
            pages = index_pages(3, never)
        print(f"indexed {pages}")
    except TimeoutError:
        print("timed out")

    print("Around blocking code on another thread:")
    try:
        async with asyncio.timeout(limit):
            pages = await asyncio.to_thread(index_pages, 3, never)
        print(f"indexed {pages}")
    except TimeoutError:
        print("timed out")
    await asyncio.sleep(rest)

    print("Around blocking code that checks a stop flag:")
    for pages, seconds in [(1, long_limit), (3, limit)]:
        try:
            async with asyncio.timeout(seconds):
                done = await run_blocking(lambda stop, n=pages: index_pages(n, stop))
            print(f"indexed {done}")
        except TimeoutError:
            print("timed out")
    await asyncio.sleep(rest)

    print("A limit after which the pages so far are returned:")
    for pages, seconds in [(1, long_limit), (3, limit)]:
        done = await run_blocking_for(
            seconds, lambda stop, n=pages: index_pages(n, stop)
        )
        print(f"indexed {done} of {pages}")


asyncio.run(main())
