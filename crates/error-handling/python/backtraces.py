import asyncio
import traceback


class Closed(Exception):
    pass


async def load_price():
    await asyncio.sleep(0.2)
    raise Closed("the shop is closed")


async def show_page(in_a_task):
    if in_a_task:
        return await asyncio.create_task(load_price())
    return await load_price()


async def load_in_a_task():
    async def load():
        try:
            return await load_price()
        except Closed as error:
            error.add_note("cannot load the price")
            raise

    try:
        return await asyncio.create_task(load())
    except Closed as error:
        error.add_note("cannot show the page")
        raise


def print_frames(error):
    frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    for function in ("load_price", "show_page"):
        print(f"{function}: {'yes' if function in frames else 'no'}")


async def main():
    awaited, spawned = await asyncio.gather(
        show_page(False), show_page(True), return_exceptions=True
    )

    print("What was attempted, and where:")
    try:
        await load_in_a_task()
    except Closed as error:
        frames = traceback.extract_tb(error.__traceback__)
        print(f"places known: {', '.join(frame.name for frame in frames)}")
        for line in traceback.format_exception_only(error):
            print(line.rstrip())

    print("In the backtrace of an error:")
    print_frames(awaited)
    print("In that of a task's error:")
    print_frames(spawned)


asyncio.run(main())
