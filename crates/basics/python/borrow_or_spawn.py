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

    async def show_all(self, pages):
        fetches = [self.fetch(page, delay) for page, delay in pages]
        for answer in asyncio.as_completed(fetches):
            await show(answer)
            await asyncio.sleep(BUSY)

    def start_all(self, pages):
        return [
            asyncio.create_task(self.fetch(page, delay)) for page, delay in pages
        ]


async def show(answer):
    try:
        print(await answer)
    except ValueError as error:
        print(f"Error: {error}")


async def main():
    client = Client("example.com")
    pages = [("home", 0.1), ("missing", 0.2)]

    print("Two futures that borrow:")
    fetches = [client.fetch(page, delay) for page, delay in pages]
    for answer in await asyncio.gather(*fetches, return_exceptions=True):
        print(f"Error: {answer}" if isinstance(answer, ValueError) else answer)

    print("Tasks that own, in a busy loop:")
    for answer in asyncio.as_completed(client.start_all(pages)):
        await show(answer)
        await asyncio.sleep(BUSY)

    print("Futures that borrow, in a busy loop:")
    await client.show_all(pages)


asyncio.run(main())
