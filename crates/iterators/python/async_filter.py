import asyncio
import itertools


async def is_active(user):
    await asyncio.sleep(0.2 if user == "Zoe" else 0.1)
    return user != "Bob"


async def active(users):
    async for user in users:
        if await is_active(user):
            yield user


async def users(names):
    for name in names:
        yield name


async def main():
    print("An if in a generator:")
    async for user in active(users(["Ada", "Bob", "Eve"])):
        print(user)

    print("A condition in a comprehension:")
    known = users(["Ada", "Bob", "Eve"])
    found = [user async for user in known if await is_active(user)]
    print(", ".join(found))

    print("Two checks at once:")
    limit = asyncio.Semaphore(2)

    async def check(user):
        async with limit:
            return await is_active(user)

    names = ["Bob", "Joe", "Zoe", "Ann"]
    checks = await asyncio.gather(*map(check, names))
    print(", ".join(itertools.compress(names, checks)))


asyncio.run(main())
