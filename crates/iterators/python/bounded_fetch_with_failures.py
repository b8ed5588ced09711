import asyncio


class FetchError(Exception):
    def __init__(self, status):
        super().__init__(f"status {status}")


async def fetch(url):
    print(f"fetching {url}")
    await asyncio.sleep(0.2)
    if status := {"/b": 404, "/d": 500}.get(url):
        raise FetchError(status)
    return f"page {url}"


async def fetch_all(urls, limit):
    pages, failures = [], []
    semaphore = asyncio.Semaphore(limit)

    async def fetch_one(url):
        async with semaphore:
            try:
                pages.append(await fetch(url))
            except FetchError as error:
                print(f"{url} failed: {error}")
                failures.append((url, error))

    async with asyncio.TaskGroup() as group:
        for url in urls:
            group.create_task(fetch_one(url))
    return pages, failures


async def main():
    pages, failures = await fetch_all(["/a", "/b", "/c", "/d", "/e"], 2)
    print(f"pages: {', '.join(pages)}")
    print(f"failed: {', '.join(url for url, _ in failures)}")


asyncio.run(main())
