import asyncio
import itertools


class NoAnswer(Exception):
    def __str__(self):
        return "no answer"


async def is_active(user):
    await asyncio.sleep(0.2 if user == "Zoe" else 0.1)
    if user == "Mallory":
        raise NoAnswer
    return user != "Bob"


async def is_surely_active(user):
    try:
        return await is_active(user)
    except NoAnswer:
        return False


async def active(users):
    async for user in users:
        try:
            if await is_active(user):
                yield user
        except NoAnswer as error:
            print(f"{user}: {error}")


async def users(names):
    for name in names:
        yield name


async def main():
    print("An if in a generator:")
    async for user in active(users(["Ada", "Mallory", "Bob", "Eve"])):
        print(user)

    print("A condition in a comprehension:")
    known = users(["Ada", "Bob", "Mallory", "Eve"])
    found = [user async for user in known if await is_surely_active(user)]
    print(", ".join(found))

    print("Two checks at once:")
    limit = asyncio.Semaphore(2)

    async def check(user):
        async with limit:
            return await is_surely_active(user)

    names = ["Mallory", "Joe", "Zoe", "Ann"]
    checks = await asyncio.gather(*map(check, names))
    print(", ".join(itertools.compress(names, checks)))


asyncio.run(main())
