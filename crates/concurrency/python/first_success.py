import asyncio


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
        for task in tasks:
            task.cancel()
        # Waits until all have ended.
        await asyncio.gather(*tasks, return_exceptions=True)
    raise ExceptionGroup("none succeeded", errors)


async def fetch_data(url, delay):
    await asyncio.sleep(delay)
    if url.startswith("broken"):
        raise ConnectionError(f"{url} does not answer")
    print(f"{url} answers")
    return f"Data from {url}"


async def main():
    print("The first that succeeds:")
    requests = [("slow.com", 0.3), ("broken.com", 0.1), ("fast.com", 0.2)]
    print(await first_success(fetch_data(*request) for request in requests))

    print("None succeeds:")
    requests = [("broken.org", 0.2), ("broken.com", 0.1)]
    try:
        await first_success(fetch_data(*request) for request in requests)
    except* ConnectionError as errors:
        for error in errors.exceptions:
            print(f"Error: {error}")


asyncio.run(main())
