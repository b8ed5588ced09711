import asyncio


class FetchError(Exception):
    def __init__(self, status):
        super().__init__(f"status {status}")


class Client:
    def __init__(self, answers):
        self.answers = answers

    async def fetch(self, url):
        print(f"fetching {url}")
        seconds, status = self.answers.get(url, (0.2, 200))
        await asyncio.sleep(seconds)
        if status != 200:
            raise FetchError(status)
        print(f"fetched {url}")
        return f"page {url}"


async def fetch_all(client, urls, limit):
    pages, failures = [], []
    semaphore = asyncio.Semaphore(limit)

    async def fetch_one(url):
        async with semaphore:
            try:
                pages.append(await client.fetch(url))
            except FetchError as error:
                print(f"{url} failed: {error}")
                failures.append((url, error))

    async with asyncio.TaskGroup() as group:
        for url in urls:
            group.create_task(fetch_one(url))
    return pages, failures


async def fetch_all_or_none(client, urls, limit):
    semaphore = asyncio.Semaphore(limit)

    async def fetch_one(url):
        async with semaphore:
            return await client.fetch(url)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(fetch_one(url)) for url in urls]
    return [task.result() for task in tasks]


async def main():
    slow = {"/a": (0.3, 200), "/c": (0.7, 200)}
    failing = {"/b": (0.1, 404), "/d": (0.1, 500)}
    client = Client(slow | failing)
    urls = ["/a", "/b", "/c", "/d", "/e"]

    print("Failures are noted, the rest goes on:")
    pages, failures = await fetch_all(client, urls, 2)
    print(f"pages: {', '.join(pages)}")
    print(f"failed: {', '.join(url for url, _ in failures)}")

    print("The first failure ends everything:")
    try:
        pages = await fetch_all_or_none(client, ["/e", "/c", "/b"], 2)
        print(f"pages: {', '.join(pages)}")
    except* FetchError as group:
        for error in group.exceptions:
            print(f"{error}, and no pages")
    await asyncio.sleep(0.5)
    print("0.5 s later")


asyncio.run(main())
