import asyncio


class NotANumber(Exception):
    def __str__(self):
        return f"not a number: {self.args[0]}"


def parse(line):
    if not line.isdecimal():
        raise NotANumber(line)
    return int(line)


async def arrival():
    await asyncio.sleep(0.1)


async def strict(lines):
    for line in lines:
        await arrival()
        yield parse(line)


async def lenient(lines):
    for line in lines:
        await arrival()
        try:
            item = parse(line)
        except NotANumber as error:
            item = error
        yield item


async def total(numbers):
    result = 0
    async for number in numbers:
        print(f"adding {number}")
        result += number
    return result


async def show(numbers):
    try:
        print(f"the sum is {await total(numbers)}")
    except NotANumber as error:
        print(f"no sum: {error}")


async def main():
    await show(strict(["1", "2", "3"]))
    lines = ["10", "20", "x", "40"]
    await show(strict(lines))

    index = 0
    try:
        async for number in strict(lines):
            if index >= 2:
                print(f"strict: {number}")
            index += 1
    except NotANumber as error:
        print(f"strict: {error}")

    index = 0
    async for item in lenient(lines):
        if index >= 2:
            print(f"lenient: {item}")
        index += 1

    try:
        collected = []
        async for item in lenient(lines):
            if isinstance(item, NotANumber):
                raise item
            collected.append(item)
        print(f"collected: {collected}")
    except NotANumber as error:
        print(f"collected nothing: {error}")


asyncio.run(main())
