import asyncio


class NoAnswer(Exception):
    pass


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
        except NoAnswer:
            print(f"{user}: no answer")


async def users(names):
    for name in names:
        yield name


async def main():
    print("An if in a generator:")
    async for user in active(users(["Ada", "Mallory", "Bob", "Eve"])):
        print(user)

    print("The filter adapter, with a clone:")
    known = users(["Ada", "Bob", "Mallory", "Eve"])
    found = [user async for user in known if await is_surely_active(user)]
    print(", ".join(found))

    print("The first failure ends it:")
    known = users(["Ada", "Mallory", "Eve"])
    try:
        found = [user async for user in known if await is_active(user)]
        print(", ".join(found))
    except NoAnswer:
        print("no answer, and no list")

    print("Two checks at a time:")
    limit = asyncio.Semaphore(2)

    async def check(user):
        async with limit:
            return await is_surely_active(user)

    names = ["Mallory", "Joe", "Zoe", "Ann"]
    checks = await asyncio.gather(*map(check, names))
    found = [name for name, active in zip(names, checks) if active]
    print(", ".join(found))


asyncio.run(main())
