import asyncio
import contextlib


class ServiceError(Exception):
    pass


class NotFound(ServiceError):
    def __init__(self, what):
        super().__init__(f"no {what}")


class Unavailable(ServiceError):
    def __init__(self):
        super().__init__("the service is unavailable")


async def name_of(user):
    await asyncio.sleep(0.1)
    match user:
        case 1:
            return "Ada"
        case 2:
            return "Bob"
        case 3:
            raise NotFound("user")
        case _:
            raise Unavailable


class Connection:
    """To a server of mail. Closing it takes a while."""

    def __init__(self):
        print("opened")

    async def send(self, name):
        await asyncio.sleep(0.1)
        if name == "Bob":
            raise NotFound("mailbox")
        print(f"sent to {name}")

    async def close(self):
        await asyncio.sleep(0.1)
        print("closed")


async def greet(user):
    """Greets a user; one who is unknown is no error."""
    connection = Connection()
    try:
        name = await name_of(user)
    except NotFound as error:
        print(f"caught: {error}")
    else:
        await connection.send(name)
    finally:
        await connection.close()


async def greet_carelessly(user):
    """Does not close the connection when something fails."""
    connection = Connection()
    name = await name_of(user)
    await connection.send(name)
    await connection.close()


async def name_or_guest(user):
    """The user's name. While nothing works, all are guests."""
    with contextlib.suppress(ServiceError):
        return await name_of(user)
    return "guest"


async def report(user, greeting):
    try:
        await greeting
        print(f"User {user}: done")
    except ServiceError as error:
        print(f"User {user}: {error}")


async def main():
    print("Closed after success and after errors:")
    for user in range(1, 5):
        await report(user, greet(user))

    print("Left open after two errors:")
    for user in range(2, 4):
        await report(user, greet_carelessly(user))

    print("A default instead of an error:")
    for user in range(3, 5):
        print(f"User {user}: {await name_or_guest(user)}")


asyncio.run(main())
