import asyncio
import os
import sys


class Failure(Exception):
    code = 1


class NoPage(Failure):
    # What a script can tell failures apart by, from the list `sysexits`.
    code = os.EX_NOINPUT

    def __init__(self, page):
        super().__init__(f"there is no page {page}")


class Unavailable(Failure):
    code = os.EX_UNAVAILABLE

    def __init__(self):
        super().__init__("the service is unavailable")


async def keep_journal():
    try:
        await asyncio.Event().wait()
    finally:
        print("The journal of a task is written")


async def fetch(page):
    await asyncio.sleep(0.1)
    match page:
        case "home":
            return "Welcome"
        case "news":
            raise Unavailable
        case _:
            raise NoPage(page)


async def program(args):
    print("The code of each failure:")
    for page in ("home", "news", "attic"):
        try:
            print(f"{page}: 0, {await fetch(page)}")
        except Failure as failure:
            print(f"{page}: {failure.code}, {failure}")

    print("The program fails:")
    try:
        await fetch("attic")
    except Failure as failure:
        match args:
            case ["code"]:
                print(failure, file=sys.stderr)
                sys.exit(failure.code)
            case ["exit"]:
                print(failure, file=sys.stderr)
                os._exit(failure.code)
            case _:
                raise


async def main():
    # asyncio.run cancels the task at the end, and lets it clean up.
    task = asyncio.create_task(keep_journal())
    try:
        await program(sys.argv[1:])
    finally:
        print("The journal of main is written")


asyncio.run(main())
