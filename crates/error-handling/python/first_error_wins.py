# cancel: no (of tasks that are awaited one by one, an error may stay unseen)
import asyncio


class DownloadError(Exception):
    pass


async def try_all(coros):
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coro) for coro in coros]
    except ExceptionGroup as errors:
        raise errors.exceptions[0]
    return [task.result() for task in tasks]


async def download(page, delay):
    try:
        await asyncio.sleep(delay)
        if page == "B":
            print(f"{page} fails")
            raise DownloadError(f"no page {page}")
        print(f"{page} is complete")
        return f"text {page}"
    finally:
        print(f"{page} is closed")


async def one_by_one():
    a = asyncio.create_task(download("A", 0.3))
    b = asyncio.create_task(download("B", 0.1))
    return [await a, await b]


async def tasks_run_on():
    a = asyncio.create_task(download("A", 0.3))
    b = asyncio.create_task(download("B", 0.1))
    return await asyncio.gather(a, b)


async def report(waiting):
    try:
        print(", ".join(await waiting))
    except DownloadError as error:
        print(f"error: {error}")


async def main():
    rest = 0.3

    print("Tasks, awaited one by one:")
    await report(one_by_one())

    print("Tasks, awaited together:")
    await report(tasks_run_on())
    await asyncio.sleep(rest)

    # In asyncio whatever runs at the same time is a task, so this is `try_all`, too.
    print("Futures, awaited together:")
    await report(try_all([download("A", 0.3), download("B", 0.1)]))
    await asyncio.sleep(rest)

    print("Tasks: at the first error the others are aborted and awaited:")
    await report(try_all([download("A", 0.3), download("B", 0.1)]))
    await asyncio.sleep(rest)

    print("None of them fails:")
    await report(try_all([download("A", 0.3), download("C", 0.1)]))


asyncio.run(main())
