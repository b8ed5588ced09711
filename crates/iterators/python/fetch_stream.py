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

    async for data in fetch_all(urls):
        print(data)
        await asyncio.sleep(0.2)
        print("Stored")

    print("Only until the first hit:")
    async for data in fetch_all(urls):
        print(data)
        if "api1" in data:
            break
    print("Found")


asyncio.run(main())
