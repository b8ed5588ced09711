"""The part that stays in Python. Run alone, it is the whole program without Rust."""

import asyncio
import atexit

answered = 0


async def price(item):
    global answered
    try:
        async with asyncio.timeout(0.1):  # a limit in Rust would leave this running
            await asyncio.sleep(60 if item == "slow" else 0)
    except TimeoutError:
        raise TimeoutError(f"no price of {item}") from None
    answered += 1
    return len(item)


@atexit.register
def report():
    print("answered:", answered)


async def serve(started):
    """Keeps the event loop running until Rust sets the event."""
    stop = asyncio.Event()
    started(stop)
    await stop.wait()


async def main():
    async def show(item):
        try:
            return f"{item}: {await price(item)}"
        except TimeoutError as error:
            return f"TimeoutError: {error}"

    print(*await asyncio.gather(*map(show, ["tea", "slow", "coffee"])), sep="\n")


if __name__ == "__main__":
    asyncio.run(main())
