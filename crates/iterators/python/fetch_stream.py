import asyncio


async def fetch(url):
    print(f"Fetching {url}")
    await asyncio.sleep(0.5)
    return f"Data from {url}"


async def fetch_all(urls):
    for url in urls:
        yield await fetch(url)


async def main():
    urls = ["api1.com", "api2.com", "api3.com"]

    print("All of them, storing each:")
    async for data in fetch_all(urls):
        print(data)
        await asyncio.sleep(0.2)
        print("Stored")

    print("Only until the first hit:")
    async for data in fetch_all(urls):
        print(data)
        if "api2" in data:
            break
    print("Found")

    print("In a task, with addresses of its own:")

    async def collect(pages):
        return [page async for page in pages]

    urls = [f"api{number}.com" for number in (4, 5)]
    task = asyncio.create_task(collect(fetch_all(urls)))
    print(", ".join(await task))


asyncio.run(main())
