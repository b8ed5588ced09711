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

    def __init__(self, operation, problem="failed"):
        super().__init__(f"operation {operation} {problem}")

    @property
    def is_temporary(self):
        return isinstance(self.__cause__, TimedOut)


class BatchError(Exception):
    def __init__(self, total, failed):
        super().__init__(f"{len(failed)} of {total} operations failed")
        self.failed = failed


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
    await asyncio.sleep(0.1)
    match host:
        case "slow.com":
            limit = 0.45
            await asyncio.sleep(limit)
            raise TimedOut(host, limit)
        case "closed.com":
            raise Refused(host)


async def perform(operation, host):
    try:
        await connect(host)
    except NetworkError as error:
        raise OperationError(operation) from error
    if operation == "op5":
        raise OperationError(operation, "is not allowed")
    return f"{operation} at {host}"


async def perform_later(delay, operation, host):
    await asyncio.sleep(delay)
    return await perform(operation, host)


async def batch(operations):
    tasks = [
        asyncio.create_task(perform_later(0.1 * number, operation, host))
        for number, (operation, host) in enumerate(operations, 1)
    ]
    failed = []
    for task in asyncio.as_completed(tasks):
        try:
            print(f"SUCCESS: {await task}")
        except OperationError as error:
            print(f"ERROR: {report(error)}")
            failed.append(error)
    if failed:
        raise BatchError(len(operations), failed)


async def back_up(host):
    try:
        await connect(host)
    except NetworkError as error:
        raise BackupError(error) from error


async def main():
    print("Each with its cause:")
    operations = [
        ("op1", "fast.com"),
        ("op2", "slow.com"),
        ("op3", "fast.com"),
        ("op4", "closed.com"),
        ("op5", "fast.com"),
    ]
    try:
        await batch(operations)
    except BatchError as error:
        print(f"{error}:")
        for error in error.failed:
            advice = "try again" if error.is_temporary else "give up"
            print(f"  {error}: {advice}")

    print("A message that repeats its cause:")
    try:
        await back_up("closed.com")
    except BackupError as error:
        print(f"ERROR: {report(error)}")


asyncio.run(main())
