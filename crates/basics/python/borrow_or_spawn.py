import asyncio

BUSY = 0.5


class Client:
    def __init__(self, host):
        self.host = host

    async def fetch(self, page, delay):
        await asyncio.sleep(delay)
        print(f"An answer for {page}")
        if page == "missing":
            raise ValueError(f"{self.host}: no page {page}")
        return f"{self.host}: page {page}"

    async def report(self, page, delay):
        try:
            return await self.fetch(page, delay)
        except ValueError as error:
            return f"Error: {error}"

    async def show_all(self, pages):
        reports = [self.report(page, delay) for page, delay in pages]
        for report in asyncio.as_completed(reports):
            print(await report)
            await asyncio.sleep(BUSY)

    def start_all(self, pages):
        return [
            asyncio.create_task(self.report(page, delay)) for page, delay in pages
        ]


async def main():
    client = Client("example.com")
    pages = [("home", 0.1), ("missing", 0.2)]

    print("Tasks that own, in a busy loop:")
    for report in asyncio.as_completed(client.start_all(pages)):
        print(await report)
        await asyncio.sleep(BUSY)

    print("Futures that borrow, in a busy loop:")
    await client.show_all(pages)


asyncio.run(main())
