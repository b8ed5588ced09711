import asyncio


async def fetch_data(url, delay):
    await asyncio.sleep(delay)
    print(f"Fetched {url}")
    return f"Data from {url}"


async def race_tasks():
    tasks = [
        asyncio.create_task(fetch_data("http://fast.com", 0.1)),
        asyncio.create_task(fetch_data("http://slow.com", 0.2)),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        # Wait until both have ended.
        await asyncio.gather(*tasks, return_exceptions=True)
    return done.pop().result()


async def main():
    print(await race_tasks())
    await asyncio.sleep(0.2)
    print("0.2 s later, nothing else was fetched")


asyncio.run(main())
