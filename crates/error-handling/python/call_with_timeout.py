import asyncio


async def long_operation(seconds):
    await asyncio.sleep(seconds)
    if seconds == 0:
        raise ValueError("there is nothing to do")
    return f"Done after {seconds} s"


async def with_timeout(seconds):
    try:
        async with asyncio.timeout(2):
            print(await long_operation(seconds))
    except ValueError as error:
        print(f"Error: {error}")
    except TimeoutError:
        print("Operation timed out!")


async def main():
    for seconds in [1, 0, 5]:
        await with_timeout(seconds)


asyncio.run(main())
