import asyncio
import inspect
import json


class Functions:
    """Functions by name, and the state that each of them gets."""

    def __init__(self, state):
        self._state = state
        self._functions = {}

    def add(self, function):
        self._functions[function.__name__] = function
        return function

    async def call(self, name, arguments):
        function = self._functions.get(name)
        if function is None:
            raise LookupError(f"no function {name}")
        try:
            # Otherwise a TypeError of the function would look the same.
            signature = inspect.signature(function)
            if isinstance(arguments, dict):
                bound = signature.bind(self._state, **arguments)
            else:
                bound = signature.bind(self._state, *arguments)
        except TypeError as error:
            raise LookupError(f"wrong arguments: {error}") from error
        return await function(*bound.args, **bound.kwargs)


async def send_mail(sender, to, copies=0):
    await asyncio.sleep(0.1)
    if "@" not in to:
        raise ValueError(f"{to} is no address")
    return f"{copies + 1} to {to}, from {sender}"


async def add(_, left, right):
    return left + right


async def main():
    functions = Functions("Ann")
    functions.add(send_mail)
    functions.add(add)

    for job in [
        '{"function": "send_mail", "arguments": {"to": "ben@example.org"}}',
        '{"function": "send_mail", "arguments": ["eve@example.org", 1]}',
        '{"function": "add", "arguments": [1, 2]}',
        '{"function": "send_mail", "arguments": {"to": "nobody"}}',
        '{"function": "send_mail", "arguments": {"copies": 2}}',
        '{"function": "send_mail", "arguments": {"to": "a@b", "cc": "c@d"}}',
        '{"function": "add", "arguments": [1, "two"]}',
        '{"function": "remove", "arguments": []}',
    ]:
        job = json.loads(job)
        name = job["function"]
        try:
            result = await functions.call(name, job["arguments"])
            print(f"{name}: {json.dumps(result)}")
        except Exception as error:
            print(f"{name}: error: {error}")


asyncio.run(main())
