import asyncio
import traceback
from contextlib import contextmanager


class StoreError(Exception):
    pass


class NotFound(StoreError):
    def __init__(self, path):
        super().__init__(f"no file {path}")


class Broken(StoreError):
    def __init__(self):
        super().__init__("the disk does not answer")


@contextmanager
def context(note):
    """Adds a note to the exception that passes by, whose type stays what it is."""
    try:
        yield
    except Exception as error:
        error.add_note(note)
        raise


async def read(path):
    await asyncio.sleep(0.1)
    match path:
        case "ada.conf":
            return "1024"
        case "bob.conf":
            return "1023"
        case "cy.conf":
            raise Broken
        case _:
            raise NotFound(path)


async def port_of(user):
    path = f"{user}.conf"
    with context(f"cannot read the settings of {user}"):
        text = await read(path)
    with context("the port is not a number"):
        port = int(text)
    if port < 1024:
        raise ValueError(f"port {port} is reserved")
    return port


async def start(user):
    with context("cannot start"):
        return await port_of(user)


async def start_or_default(user):
    """A user without settings gets a default port. Any other error is raised."""
    try:
        return await start(user)
    except NotFound:
        return 8000


async def main():
    print("Each error in one line, and with all lines:")
    for user in ("ada", "bob", "cy"):
        try:
            print(f"{user} starts at port {await start(user)}")
        except (StoreError, ValueError) as error:
            print(error)
            print("".join(traceback.format_exception_only(error)).rstrip())

    print("One of them is handled:")
    print(f"dan starts at port {await start_or_default('dan')}")

    print("The next one ends the program:")
    port = await start_or_default("cy")
    print(f"Not reached: cy starts at port {port}")


asyncio.run(main())
