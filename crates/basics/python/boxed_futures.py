import asyncio


async def add(x, y):
    await asyncio.sleep(0.1)
    return x + y


async def divide(x, y):
    await asyncio.sleep(0.2)
    if y == 0:
        raise ZeroDivisionError(f"{x} cannot be divided by {y}")
    return x // y


async def main():
    print("A list of different futures:")
    for result in await asyncio.gather(add(1, 2), divide(6, 3)):
        print(result)

    print("A table of async functions:")
    limit = 7

    async def limited(x, y):
        return min(x + y, limit)

    handlers = {"add": add, "divide": divide, "limited": limited}
    calls = [("divide", 0), ("add", 1), ("limited", 1), ("multiply", 1)]
    for name, y in calls:
        try:
            print(await handlers[name](7, y))
        except KeyError:
            print(f"No handler {name}")
        except ZeroDivisionError as error:
            print(f"Error: {error}")


asyncio.run(main())
