import asyncio
from weakref import WeakValueDictionary


class LockPerKey:
    """A lock for each key: an entry lives as long as its lock is referenced."""

    def __init__(self):
        self._locks = WeakValueDictionary()

    def __call__(self, key):
        return self._locks.setdefault(key, asyncio.Lock())

    def __len__(self):
        return len(self._locks)


async def update(account, delay, locks):
    async with locks(account):
        print(f"{account}: update begins")
        await asyncio.sleep(delay)
        print(f"{account}: update ends")


async def main():
    locks = LockPerKey()
    await asyncio.gather(
        update("Ada's account", 0.1, locks),
        update("Ada's account", 0.1, locks),
        update("Bob's account", 0.15, locks),
    )
    print(f"Keys in use: {len(locks)}")


asyncio.run(main())
