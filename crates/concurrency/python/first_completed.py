import asyncio


async def first_completed(coros):
    tasks = [asyncio.create_task(coro) for coro in coros]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        # Waits until all have ended.
        await asyncio.gather(*tasks, return_exceptions=True)
    return done.pop().result()


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
    fetches = [fetch_data("slow.com", 0.3), fetch_data("fast.com", 0.1)]
    print(await first_completed(fetches))

    print("An error completes, too:")
    fetches = [fetch_data("slow.com", 0.3), fetch_data("broken.com", 0.1)]
    try:
        await first_completed(fetches)
    except ConnectionError as error:
        print(f"Error: {error}")


asyncio.run(main())
