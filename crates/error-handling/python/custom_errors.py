import asyncio


class NetworkError(Exception):
    """What can go wrong on the way to a server."""


class TimedOut(NetworkError):
    def __init__(self, host, limit):
        super().__init__(f"{host} did not answer within {limit * 1000:.0f} ms")


class Refused(NetworkError):
    def __init__(self, host):
        super().__init__(f"{host} refused the connection")


class OperationError(Exception):
    """What can go wrong with an operation; perhaps because of a NetworkError."""

    @property
    def is_temporary(self):
        return isinstance(self.__cause__, TimedOut)


class BackupError(Exception):
    """Repeats its cause in its message."""

    def __init__(self, cause):
        super().__init__(f"no backup: {cause}")


def report(error):
    messages = []
    while error is not None:
        messages.append(str(error))
        error = error.__cause__
    return " <- ".join(messages)


async def connect(host):
    limit = 0.1
    await asyncio.sleep(limit)
    match host:
        case "slow.com":
            raise TimedOut(host, limit)
        case "closed.com":
            raise Refused(host)


async def perform(operation, host):
    try:
        await connect(host)
    except NetworkError as error:
        raise OperationError(f"{operation} failed") from error
    if operation == "delete":
        raise OperationError(f"{operation} is not allowed")


async def back_up(host):
    try:
        await connect(host)
    except NetworkError as error:
        raise BackupError(error) from error


async def main():
    print("Each error with its cause, and what to do:")
    for operation, host in [
        ("upload", "slow.com"),
        ("upload", "closed.com"),
        ("delete", "fast.com"),
    ]:
        try:
            await perform(operation, host)
        except OperationError as error:
            advice = "retry" if error.is_temporary else "give up"
            print(f"{advice}: {report(error)}")

    print("A message that repeats its cause:")
    try:
        await back_up("closed.com")
    except BackupError as error:
        print(report(error))


asyncio.run(main())
