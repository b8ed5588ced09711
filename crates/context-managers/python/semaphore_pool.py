import asyncio
from contextlib import asynccontextmanager


class UserError(Exception):
    pass


class Pool:
    def __init__(self, size):
        self.free = size
        self._semaphore = asyncio.Semaphore(size)

    @asynccontextmanager
    async def enter(self, user):
        async with self._semaphore:
            self.free -= 1
            print(f"{user} enters")
            try:
                yield
            finally:
                self.free += 1


async def work(user):
    await asyncio.sleep(0.35)
    match user:
        case "E":
            raise UserError(f"{user} failed")
        case "F":
            raise AssertionError(f"{user} has a bug")


async def use_pool(pool, user):
    async with pool.enter(user):
        await work(user)


async def main():
    pool = Pool(3)

    print("Three permits: D waits, E fails, F has a bug, G is cancelled:")
    users = []
    for user in "AEFDG":
        users.append(asyncio.create_task(use_pool(pool, user)))
        await asyncio.sleep(0.1)
    print(f"{pool.free} permits are free")
    users[4].cancel()
    for user in users:
        await asyncio.wait([user])
        if user.cancelled():
            print("cancelled")
            continue
        match user.exception():
            case None:
                print("done")
            case UserError() as error:
                print(error)
            case AssertionError():
                print("a bug")
    print(f"{pool.free} permits are free")


asyncio.run(main())
