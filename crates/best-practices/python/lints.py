import asyncio
import threading
import time
import warnings


async def save(rows):
    await asyncio.sleep(0.1)
    rows.append("row")


def save_without_await(rows):
    # Python warns when it runs. Neither ruff nor mypy refuses it.
    warnings.filterwarnings("ignore", "coroutine .* was never awaited")
    _ = save(rows)


def save_without_handle(rows):
    asyncio.create_task(save(rows))  # noqa: RUF006


async def sleep_with_lock(lock):
    # A lock of threads. No rule of ruff refuses it.
    with lock:
        await asyncio.sleep(0.2)


async def read_part(reader):
    return await reader.read(4)


async def block():
    time.sleep(0.2)  # noqa: ASYNC251


async def main():
    rows = []
    save_without_await(rows)
    print(f"not awaited: {len(rows)} rows are saved")

    save_without_handle(rows)
    print(f"handle dropped: {len(rows)} rows are saved")

    lock = threading.Lock()

    async def try_lock():
        await asyncio.sleep(0.1)
        is_locked = not lock.acquire(blocking=False)
        print(f"lock held over an await: locked for others: {str(is_locked).lower()}")

    await asyncio.gather(sleep_with_lock(lock), try_lock())

    reader = asyncio.StreamReader()
    reader.feed_data(b"ab")
    message = await read_part(reader)
    print(f"read once: {message.ljust(4, b'.').decode()}")

    async def wake():
        await asyncio.sleep(0.1)
        print("blocking sleep: a timer of 0.1 s fires after 0.2 s")

    await asyncio.gather(wake(), block())


asyncio.run(main())
