import argparse
import asyncio
import sys


def parser():
    parser = argparse.ArgumentParser(description="Fetches pages and checks files.")
    parser.add_argument(
        "--limit", type=int, default=1000, help="The time limit in milliseconds"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    fetch = commands.add_parser("fetch", help="Fetch pages, all at once")
    fetch.add_argument("pages", nargs="+")
    checksum = commands.add_parser("checksum", help="Add up the bytes of a text")
    checksum.add_argument("text")
    return parser


async def fetch(page):
    match page:
        case "home":
            await asyncio.sleep(0.1)
        case "news":
            await asyncio.sleep(0.4)
        case _:
            raise LookupError(f"no page {page}")
    return f"Data from {page}"


def checksum(text):
    return sum(text.encode())


async def execute(args):
    match args.command:
        case "fetch":
            data = await asyncio.gather(*(fetch(page) for page in args.pages))
            return "\n".join(data)
        case "checksum":
            return await asyncio.to_thread(checksum, args.text)


async def program(argv):
    args = parser().parse_args(argv)
    try:
        async with asyncio.timeout(args.limit / 1000):
            text = await execute(args)
    except LookupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except TimeoutError:
        print("error: the time is up", file=sys.stderr)
        return 3
    print(text)
    return 0


async def demonstration():
    for line in [
        "tool fetch home news",
        "tool fetch home attic",
        "tool --limit 300 fetch home news",
        "tool checksum abc",
    ]:
        print(f"$ {line}")
        _, *argv = line.split(" ")
        code = await program(argv)
        print(f"Exit code {code}")


async def main():
    if sys.argv[1:]:
        return await program(sys.argv[1:])
    await demonstration()


if code := asyncio.run(main()):
    sys.exit(code)
