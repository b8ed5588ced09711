import asyncio
from collections import OrderedDict


class TtlCache:
    """Keeps values for a time, up to a number of them, and loads missing ones."""

    def __init__(self, capacity, ttl):
        if capacity < 1:
            raise ValueError("a cache needs room for one value")
        self._capacity = capacity
        self._ttl = ttl
        # Values and when they expire, least recently used first.
        self._values = OrderedDict()
        self._loads = {}

    async def get_or_load(self, key, load, *args):
        try:
            return self.get(key)
        except KeyError:
            pass
        if key not in self._loads:
            self._loads[key] = asyncio.create_task(self._load(key, load, *args))
        return await asyncio.shield(self._loads[key])

    def get(self, key):
        value, expires = self._values[key]
        if expires <= self._now():
            del self._values[key]
            raise KeyError(key)
        self._values.move_to_end(key)
        return value

    def insert(self, key, value):
        self._loads.pop(key, None)
        self._store(key, value)

    def clear(self):
        self._loads.clear()
        self._values.clear()

    def remove(self, key):
        self._loads.pop(key, None)
        self._values.pop(key, None)

    async def _load(self, key, load, *args):
        task = asyncio.current_task()
        try:
            value = await load(*args)
            # Unless the value was changed meanwhile.
            if self._loads.get(key) is task:
                self._store(key, value)
            return value
        finally:
            if self._loads.get(key) is task:
                del self._loads[key]

    def _store(self, key, value):
        self._values[key] = value, self._now() + self._ttl
        self._values.move_to_end(key)
        if len(self._values) > self._capacity:
            self._values.popitem(last=False)

    def _now(self):
        return asyncio.get_running_loop().time()


class NotFound(Exception):
    pass


class Users:
    """Names of users, kept elsewhere, with a cache before them."""

    def __init__(self, names, latency, cache):
        self._names = names
        self._latency = latency
        self.cache = cache

    async def name(self, id):
        return await self.cache.get_or_load(id, self._load, id)

    async def _load(self, id):
        print(f"loading user {id}")
        name = self._names.get(id)
        await asyncio.sleep(self._latency)
        if name is None:
            raise NotFound(f"user {id} not found")
        return name

    def rename(self, id, name):
        """The next to ask loads the new name."""
        self._names[id] = name
        self.cache.remove(id)

    def add(self, id, name):
        """The next to ask need not load it."""
        self._names[id] = name
        self.cache.insert(id, name)


async def ask(users, delay, id):
    """Asks for a name after a while, and says what came of it."""
    await asyncio.sleep(delay)
    try:
        return await users.name(id)
    except NotFound as error:
        return str(error)


async def ask_all(users, *asked):
    """All at once, in one line."""
    names = await asyncio.gather(*(ask(users, delay, id) for delay, id in asked))
    print(", ".join(names))


async def ask_for(seconds, users, delay, id):
    try:
        async with asyncio.timeout(seconds):
            return await ask(users, delay, id)
    except TimeoutError:
        return "gave up"


async def main():
    names = {1: "Ann", 2: "Ben", 3: "Cid", 4: "Dan", 5: "Eve"}
    users = Users(names, 0.2, TtlCache(2, 0.6))

    print("Three ask while it is loaded, one later:")
    await ask_all(users, (0, 1), (0.05, 1), (0.1, 1), (0.3, 1))

    print("After 0.4 s, when it is still kept, and after 0.7 s:")
    await ask_all(users, (0.3, 1), (0.6, 1))

    print("Two fit; a third evicts the least recently used:")
    for id in [2, 1, 3, 1, 2]:
        print(f"asking for user {id}")
        await ask_all(users, (0, id))

    print("A failure goes to all waiting callers, and is not kept:")
    await ask_all(users, (0, 9), (0.1, 9), (0.3, 9))

    print("The caller that started the load leaves after 0.1 s:")
    first, second = await asyncio.gather(
        ask_for(0.1, users, 0, 4), ask(users, 0.05, 4)
    )
    print(f"{first}, {second}")
    print(f"kept: {users.cache.get(4)}")

    print("A name is changed while it is loaded:")

    async def change():
        await asyncio.sleep(0.1)
        users.rename(5, "Eva")

    await asyncio.gather(ask_all(users, (0, 5)), change())
    await ask_all(users, (0, 5))

    print("A new name is kept at once:")
    users.add(6, "Flo")
    await ask_all(users, (0, 6))

    print("All are removed:")
    users.cache.clear()
    await ask_all(users, (0, 6))


asyncio.run(main())
