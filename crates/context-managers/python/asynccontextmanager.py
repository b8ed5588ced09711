import asyncio
from contextlib import asynccontextmanager


@asynccontextmanager
async def open_file(name):
    print(f"Opening {name}")
    await asyncio.sleep(1)
    try:
        yield f"handle of {name}"
    finally:
        print(f"Closing {name}")
        await asyncio.sleep(1)


async def main():
    try:
        async with open_file("data.txt") as file:
            print(f"Working with {file}")
            raise EOFError("Error: the file is empty")
    except EOFError as error:
        print(error)


asyncio.run(main())
