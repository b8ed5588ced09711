import asyncio


class SettingsError(Exception):
    pass


class Missing(SettingsError):
    def __init__(self, key):
        super().__init__(f"there is no {key}")
        self.key = key


class NotANumber(SettingsError):
    def __init__(self, what="something"):
        super().__init__(f"{what} is not a number")


class NotLoaded(SettingsError):
    pass


async def text_of(user, key):
    await asyncio.sleep(0.1)
    match user, key:
        case "Bob", "retries":
            return "many"
        case "Cy", "retries":
            return None
        case "Dan", "retries":
            raise AssertionError("a bug")
        case _:
            return "3"


async def required(user, key):
    text = await text_of(user, key)
    if text is None:
        raise Missing(key)
    return text


async def vague_sum(user):
    """Raises an error that cannot tell which number is wrong."""
    try:
        port = int(await required(user, "port"))
        retries = int(await required(user, "retries"))
    except ValueError as error:
        raise NotANumber from error
    return port + retries


async def number(user, key):
    text = await required(user, key)
    try:
        return int(text)
    except ValueError as error:
        raise NotANumber(key) from error


async def in_a_task(user):
    task = asyncio.create_task(number(user, "retries"))
    try:
        return await task
    except AssertionError as bug:
        raise NotLoaded("the task has ended by a bug or was cancelled") from bug


async def start(user):
    retries = await number(user, "retries")
    if user == "Ada":
        raise RuntimeError(f"{retries} retries are too few")
    return retries


async def report(user, loading):
    try:
        print(f"{user}: {await loading}")
    except (SettingsError, RuntimeError) as error:
        print(f"{user}: {error}")


async def main():
    print("One conversion for all numbers:")
    for user in ["Ada", "Bob", "Cy"]:
        await report(user, vague_sum(user))

    print("An error that names the number:")
    await report("Bob", number("Bob", "retries"))

    print("Out of tasks:")
    for user in ["Ada", "Bob", "Dan"]:
        await report(user, in_a_task(user))

    print("Errors of any type:")
    for user in ["Ada", "Bob"]:
        await report(user, start(user))
    try:
        await start("Cy")
    except Missing as error:
        print(f"Cy: please set {error.key}")


asyncio.run(main())
