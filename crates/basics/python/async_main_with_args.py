import argparse
import asyncio
import sys


def parse(argv):
    parser = argparse.ArgumentParser(prog="tool", description="Fetches pages.")
    parser.add_argument(
        "--timeout-ms", type=int, default=1000, help="For all pages together"
    )
    parser.add_argument("pages", nargs="+")
    return parser.parse_args(argv)


async def fetch(page):
    match page:
        case "home":
            await asyncio.sleep(0.1)
        case "news":
            await asyncio.sleep(0.4)
        case _:
            raise LookupError(f"no page {page}")
    return f"Data from {page}"


async def fetch_all(pages):
    limit = asyncio.Semaphore(10)

    async def fetch_and_print(page):
        async with limit:
            print(await fetch(page))

    async with asyncio.TaskGroup() as group:
        for page in pages:
            group.create_task(fetch_and_print(page))


async def execute(args):
    code = 0
    try:
        async with asyncio.timeout(args.timeout_ms / 1000):
            await fetch_all(args.pages)
    except* LookupError as group:
        print(f"error: {group.exceptions[0]}", file=sys.stderr)
        code = 1
    except* TimeoutError:
        print("error: timed out", file=sys.stderr)
        code = 1
    return code


async def demonstrate():
    for line in [
        "tool home news",
        "tool home attic",
        "tool --timeout-ms 300 home news",
    ]:
        print(f"$ {line}")
        _, *argv = line.split(" ")
        # A task for each: before CPython 3.11.3 a timeout after a failed TaskGroup of the
        # same task is a CancelledError.
        print(f"Exit code {await asyncio.create_task(execute(parse(argv)))}")


if sys.argv[1:]:
    sys.exit(asyncio.run(execute(parse(sys.argv[1:]))))
asyncio.run(demonstrate())
