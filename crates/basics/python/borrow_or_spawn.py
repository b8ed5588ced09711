import asyncio

BUSY = 0.5


class Client:
    def __init__(self, host):
        self.host = host

    async def fetch(self, page, delay):
        await asyncio.sleep(delay)
        print(f"An answer for {page}")
        return f"{self.host}: page {page}"

    async def show_all(self, pages):
        answers = [self.fetch(page, delay) for page, delay in pages]
        for answer in asyncio.as_completed(answers):
            print(await answer)
            await asyncio.sleep(BUSY)

    def start_all(self, pages):
        return [
            asyncio.create_task(self.fetch(page, delay)) for page, delay in pages
        ]


async def main():
    client = Client("example.com")
    pages = [("home", 0.1), ("news", 0.2)]

    print("Tasks that own, in a busy loop:")
    for answer in asyncio.as_completed(client.start_all(pages)):
        print(await answer)
        await asyncio.sleep(BUSY)

    print("Futures that borrow, in a busy loop:")
    await client.show_all(pages)


asyncio.run(main())
