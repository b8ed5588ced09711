import asyncio


class SingleFlight:
    """At most one call for each key at a time, shared by all who asked meanwhile."""

    def __init__(self):
        self._calls = {}

    async def run(self, key, call, *args):
        task = self._calls.get(key)
        if task is None:
            task = asyncio.create_task(call(*args))
            self._calls[key] = task
            task.add_done_callback(lambda _: self._calls.pop(key))
        return await asyncio.shield(task)


class NotFound(Exception):
    pass


class Users:
    """Users as they are elsewhere, with the calls that run now."""

    def __init__(self, latency):
        self._flights = SingleFlight()
        self._latency = latency

    async def get(self, id):
        """The user with this number, loaded once for all who ask meanwhile."""
        return await self._flights.run(id, self._load, id)

    async def _load(self, id):
        print(f"loading user {id}")
        await asyncio.sleep(self._latency)
        match id:
            case 0:
                raise AssertionError("there is no user 0")
            case 404:
                raise NotFound(f"user {id} not found")
            case _:
                return f"User_{id}"


async def ask(users, delay, id):
    await asyncio.sleep(delay)
    print(f"a caller asks for user {id}")
    try:
        return await users.get(id)
    except NotFound as error:
        return str(error)
    except AssertionError:
        return "the call ended without a result"


async def ask_all(users, asked):
    return await asyncio.gather(*(ask(users, delay, id) for delay, id in asked))


async def ask_for(users, seconds, delay, id):
    try:
        async with asyncio.timeout(seconds):
            return await ask(users, delay, id)
    except TimeoutError:
        return "timed out"


async def main():
    users = Users(0.5)

    print("Three ask for user 1, one for user 2:")
    names = await ask_all(users, [(0, 1), (0.1, 1), (0.2, 2), (0.3, 1)])
    print(", ".join(names))

    print("Once more: the result was not kept:")
    print(await ask(users, 0, 1))

    print("An error is shared, and not kept either:")
    errors = await ask_all(users, [(0, 404), (0.1, 404), (0.6, 404)])
    print(", ".join(errors))

    print("The first caller times out after 0.2 s:")
    first, second = await asyncio.gather(
        ask_for(users, 0.2, 0, 3), ask(users, 0.1, 3)
    )
    print(f"{first}, {second}")

    print("The call panics:")
    ends = await ask_all(users, [(0, 0), (0.1, 0)])
    print(", ".join(ends))


asyncio.run(main())
