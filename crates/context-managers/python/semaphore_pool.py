import asyncio


class Pool:
    def __init__(self, size):
        self.free = size
        self._semaphore = asyncio.Semaphore(size)

    async def __aenter__(self):
        await self._semaphore.acquire()
        self.free -= 1
        return self

    async def __aexit__(self, *_):
        self.free += 1
        self._semaphore.release()


class UserError(Exception):
    pass


async def some_operation(name):
    print(f"{name} works")
    await asyncio.sleep(0.4)
    match name:
        case "E":
            raise UserError(f"{name} failed")
        case "F":
            raise AssertionError(f"user {name} has a bug")
    print(f"{name} is done")


async def use_pool(pool, name):
    async with pool:
        await some_operation(name)


class ByHand:
    def __init__(self, size):
        self._semaphore = asyncio.Semaphore(size)

    async def acquire(self):
        await self._semaphore.acquire()

    def release(self):
        self._semaphore.release()


async def use_by_hand(pool, name):
    await pool.acquire()
    await some_operation(name)
    pool.release()


async def describe(user):
    await asyncio.wait([user])
    if user.cancelled():
        return "cancelled"
    match user.exception():
        case None:
            return "done"
        case UserError() as error:
            return str(error)
        case AssertionError():
            return "a bug"


async def main():
    moment = 0.1
    pool = Pool(3)

    print("Four users, three permits:")
    async with asyncio.TaskGroup() as users:
        for name in "ABCD":
            users.create_task(use_pool(pool, name))
            await asyncio.sleep(moment)
    print(f"{pool.free} permits are free")

    print("A user fails, one has a bug, one is cancelled:")
    users = []
    for name in "EFG":
        users.append(asyncio.create_task(use_pool(pool, name)))
        await asyncio.sleep(moment)
    print(f"{pool.free} permits are free")
    users[2].cancel()
    for user in users:
        print(await describe(user))
    print(f"{pool.free} permits are free")

    print("A permit in a struct:")
    async with pool:
        print(f"H is in, {pool.free} permits are free")
    print(f"{pool.free} permits are free")

    print("Two permits, released by hand if the work succeeds:")
    pool = ByHand(2)
    for name in "AEEB":
        try:
            async with asyncio.timeout(1):
                await use_by_hand(pool, name)
        except UserError as error:
            print(error)
        except TimeoutError:
            print(f"{name} timed out")


asyncio.run(main())
