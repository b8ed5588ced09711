import asyncio


class Client:
    """A client; `connect` makes one that is connected."""

    def __init__(self, host):
        self.host = host

    @classmethod
    async def connect(cls, host):
        await asyncio.sleep(0.1)
        if "." not in host:
            raise OSError(f"no host {host}")
        return cls(host)

    async def version(self):
        await asyncio.sleep(0.05)
        return f"{self.host} runs version 3"


async def main():
    client = await Client.connect("example.com")
    print(f"Connected to {client.host}")
    print(await client.version())
    try:
        await Client.connect("nowhere")
    except OSError as error:
        print(f"Error: {error}")


asyncio.run(main())
