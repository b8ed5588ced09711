import asyncio


class NotANumber(Exception):
    def __str__(self):
        return f"not a number: {self.args[0]}"


def parse(line):
    try:
        return int(line)
    except ValueError:
        raise NotANumber(line) from None


async def strict(lines):
    for line in lines:
        await asyncio.sleep(0.1)
        if not line:
            raise NotANumber("an empty line")
        yield parse(line)


async def lenient(lines):
    for line in lines:
        await asyncio.sleep(0.1)
        try:
            item = parse(line)
        except NotANumber as error:
            item = error
        yield item


async def show_strict(numbers):
    try:
        async for number in numbers:
            print(number)
    except NotANumber as error:
        print(error)


async def main():
    lines = ["10", "x", "30", "y"]
    print("Collecting stops at the first error:")
    try:
        print([number async for number in strict(lines)])
    except NotANumber as error:
        print(f"no list: {error}")

    print("A strict stream ends at the error:")
    await show_strict(strict(lines))

    print("A lenient stream goes on:")
    async for item in lenient(lines):
        print(item)


asyncio.run(main())
