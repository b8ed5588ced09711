import asyncio


async def risky_operation(text):
    await asyncio.sleep(1)
    if not text.isdecimal():
        raise ValueError("invalid digit found in string")
    return int(text)


async def main():
    for text in ["7", "seven"]:
        try:
            number = await risky_operation(text)
            print(f"Got {number}")
        except ValueError as error:
            print(f"Caught error: {error}")
        finally:
            print("Cleanup")


asyncio.run(main())
