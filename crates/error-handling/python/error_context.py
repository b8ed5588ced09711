import asyncio
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


def lines(error):
    """The notes, the outermost first, and the error."""
    notes = getattr(error, "__notes__", [])
    return [*reversed(notes), str(error)]


def below_each_other(error):
    first, *causes = lines(error)
    yield first
    yield ""
    yield "Caused by:"
    for number, cause in enumerate(causes):
        yield f"    {number}: {cause}" if len(causes) > 1 else f"    {cause}"


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
    """Who has no settings gets a port all the same; any other error goes on."""
    try:
        return await start(user)
    except NotFound:
        return 8000


async def main():
    print("The outermost line, all in one line, all below each other:")
    for user in ("ada", "bob", "cy"):
        try:
            print(f"{user} starts at port {await start(user)}")
        except (StoreError, ValueError) as error:
            print(lines(error)[0])
            print(": ".join(lines(error)))
            print("\n".join(below_each_other(error)))

    print("One of them is handled:")
    print(f"dan starts at port {await start_or_default('dan')}")

    print("The next one ends the program:")
    port = await start_or_default("cy")
    print(f"Not reached: cy starts at port {port}")


asyncio.run(main())
