import asyncio
from contextlib import contextmanager


async def show(page, delay):
    await asyncio.sleep(delay)
    print(f"Data from {page}")


async def crawl(site, tasks):
    await asyncio.sleep(0.1)
    print(f"{site} has two pages")
    for page, delay in [("home", 0.1), ("news", 0.2)]:
        tasks.create_task(show(page, delay))


@contextmanager
def log_file():
    try:
        yield
    finally:
        print("The file is closed")


async def flush_log():
    with log_file():
        try:
            while True:
                await asyncio.sleep(0.2)
                print("Flushed")
        finally:
            print("The last flush begins")
            await asyncio.sleep(0.1)
            print("The last flush ends")


async def main():
    print("Tasks that are waited for:")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(crawl("example.com", tasks))
    print("All tasks have ended")

    print("A task that is shut down:")
    task = asyncio.create_task(flush_log())
    await asyncio.sleep(0.5)
    task.cancel()
    await asyncio.wait([task])
    print("All tasks have ended")

    print("A task that is left at the end:")
    # asyncio itself keeps only a weak reference to a task.
    task = asyncio.create_task(flush_log())
    await asyncio.sleep(0.5)
    print("The program ends")


asyncio.run(main())
