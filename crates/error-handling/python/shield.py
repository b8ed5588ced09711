import asyncio


async def save():
    print("Saving")
    await asyncio.sleep(0.3)
    print("Saved")


async def handle_request(shielded):
    await asyncio.shield(shielded.create_task(save()))


async def main():
    # It waits for the shielded tasks.
    async with asyncio.TaskGroup() as shielded:
        caller = asyncio.create_task(handle_request(shielded))
        await asyncio.sleep(0.1)
        caller.cancel()
        await asyncio.wait([caller])
        if caller.cancelled():
            print("Operation cancelled")
    print("Nothing was lost")


asyncio.run(main())
