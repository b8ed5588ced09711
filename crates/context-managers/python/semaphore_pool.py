import asyncio


class Pool:
    def __init__(self, size):
        self.free = size
        self._places = asyncio.Semaphore(size)

    async def __aenter__(self):
        await self._places.acquire()
        self.free -= 1
        return self

    async def __aexit__(self, *_):
        self.free += 1
        self._places.release()


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
        self._places = asyncio.Semaphore(size)

    async def enter(self):
        await self._places.acquire()

    def leave(self):
        self._places.release()


async def use_by_hand(pool, name):
    await pool.enter()
    await some_operation(name)
    pool.leave()


async def describe(user):
    await asyncio.wait([user])
    if user.cancelled():
        return "stopped"
    match user.exception():
        case None:
            return "done"
        case UserError() as error:
            return str(error)
        case AssertionError():
            return "a panic"


async def main():
    moment = 0.1
    pool = Pool(3)

    print("Four users, three places:")
    async with asyncio.TaskGroup() as users:
        for name in "ABCD":
            users.create_task(use_pool(pool, name))
            await asyncio.sleep(moment)
    print(f"{pool.free} places are free")

    print("A user fails, one has a bug, one is stopped:")
    users = []
    for name in "EFG":
        users.append(asyncio.create_task(use_pool(pool, name)))
        await asyncio.sleep(moment)
    print(f"{pool.free} places are free")
    users[2].cancel()
    for user in users:
        print(await describe(user))
    print(f"{pool.free} places are free")

    print("A place in a struct:")
    async with pool:
        print(f"H is in, {pool.free} places are free")
    print(f"{pool.free} places are free")

    print("Two places given back by hand, if the work goes well:")
    pool = ByHand(2)
    for name in "AEEB":
        try:
            async with asyncio.timeout(1):
                await use_by_hand(pool, name)
        except UserError as error:
            print(error)
        except TimeoutError:
            print(f"{name} gave up")


asyncio.run(main())
