import asyncio
from dataclasses import dataclass


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


@dataclass
class Settings:
    port: int
    retries: int


async def text_of(user, key):
    await asyncio.sleep(0.1)
    assert user != "Eve", "a bug"
    match user, key:
        case "Bob", "retries":
            return "many"
        case "Cy", "retries":
            return None
        case "Dan", "port":
            return "1024"
        case _, "port":
            return "1023"
        case _:
            return "3"


async def required(user, key):
    text = await text_of(user, key)
    if text is None:
        raise Missing(key)
    return text


async def vague_settings(user):
    """Which number is wrong, its error cannot tell."""
    try:
        port = int(await required(user, "port"))
        retries = int(await required(user, "retries"))
    except ValueError as error:
        raise NotANumber from error
    return Settings(port, retries)


async def number(user, key):
    text = await required(user, key)
    try:
        return int(text)
    except ValueError as error:
        raise NotANumber(key) from error


async def settings(user):
    port = await number(user, "port")
    retries = await number(user, "retries")
    return Settings(port, retries)


async def loaded(task):
    """The settings from a task that loads them."""
    # To await the task itself would not tell its cancellation from that of the caller.
    await asyncio.wait([task])
    if task.cancelled():
        raise NotLoaded("a task was cancelled")
    try:
        return task.result()
    except AssertionError as bug:
        raise NotLoaded("a task panicked") from bug


async def start(user):
    found = await settings(user)
    if found.port < 1024:
        raise RuntimeError(f"port {found.port} is reserved")
    return f"started at port {found.port} with {found.retries} retries"


async def describe(settings):
    try:
        found = await settings
    except SettingsError as error:
        return str(error)
    return f"port {found.port}, {found.retries} retries"


async def main():
    print("One rule for all numbers:")
    users = ("Ada", "Bob", "Cy")
    texts = await asyncio.gather(*(describe(vague_settings(user)) for user in users))
    for user, text in zip(users, texts):
        print(f"{user}: {text}")

    print("Each number for itself:")
    print(f"Bob: {await describe(settings('Bob'))}")

    print("Out of tasks:")
    users = ("Ada", "Bob", "Dan", "Eve")
    tasks = [asyncio.create_task(settings(user)) for user in users]
    tasks[2].cancel()
    for user, task in zip(users, tasks):
        print(f"{user}: {await describe(loaded(task))}")

    print("Errors of any type:")
    users = ("Ada", "Bob", "Cy", "Dan")
    tasks = [asyncio.create_task(start(user)) for user in users]
    for user, task in zip(users, tasks):
        try:
            text = await task
        except Missing as error:
            text = f"please set {error.key}"
        except Exception as error:
            text = f"not started: {error}"
        print(f"{user}: {text}")


asyncio.run(main())
