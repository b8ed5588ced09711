import asyncio


async def start(name):
    """Starts the service and waits until it is ready, or has failed."""
    ready = asyncio.get_running_loop().create_future()
    service = asyncio.create_task(serve(name, ready))
    await asyncio.wait([ready, service], return_when=asyncio.FIRST_COMPLETED)
    if not ready.done():
        await service
        raise RuntimeError("it ended before it was ready")
    return service


async def serve(name, ready):
    print(f"{name} starts")
    await asyncio.sleep(0.2)
    if name == "mailer":
        raise RuntimeError("no template for mails")
    ready.set_result(None)
    await asyncio.sleep(0.3)
    print(f"{name} ends")


async def main():
    cache = await start("cache")
    print("cache is ready")
    try:
        await start("mailer")
    except RuntimeError as error:
        print(f"mailer: {error}")
    await cache


asyncio.run(main())
