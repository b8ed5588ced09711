import asyncio


async def cancel(tasks):
    """Cancels those that have not ended, and waits until they have."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def first_completed(coros):
    tasks = [asyncio.create_task(coro) for coro in coros]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel(tasks)
    return done.pop().result()


async def first_success(coros):
    tasks = [asyncio.create_task(coro) for coro in coros]
    errors = []
    try:
        for completed in asyncio.as_completed(tasks):
            try:
                return await completed
            except ConnectionError as error:
                errors.append(error)
    finally:
        await cancel(tasks)
    raise ExceptionGroup("none succeeded", errors)


async def fetch_data(url, delay):
    try:
        await asyncio.sleep(delay)
        if url.startswith("broken"):
            raise ConnectionError(f"{url} does not answer")
        return f"Data from {url}"
    finally:
        print(f"{url} closed")


async def main():
    print("The first that completes:")
    requests = [("slow.com", 0.3), ("fast.com", 0.1)]
    print(await first_completed(fetch_data(*request) for request in requests))

    print("An error completes, too:")
    requests = [("slow.com", 0.3), ("broken.com", 0.1)]
    try:
        print(await first_completed(fetch_data(*request) for request in requests))
    except ConnectionError as error:
        print(f"Error: {error}")

    print("The first that succeeds:")
    requests = [("slow.com", 0.3), ("broken.com", 0.1), ("fast.com", 0.2)]
    print(await first_success(fetch_data(*request) for request in requests))

    print("None succeeds:")
    requests = [("broken.org", 0.2), ("broken.com", 0.1)]
    try:
        print(await first_success(fetch_data(*request) for request in requests))
    except* ConnectionError as errors:
        for error in errors.exceptions:
            print(f"Error: {error}")

    # In asyncio whatever runs at the same time is a task, so this is the same again.
    print("Two futures of one task:")
    requests = [("slow.com", 0.3), ("fast.com", 0.1)]
    print(await first_completed(fetch_data(*request) for request in requests))


asyncio.run(main())
