import asyncio


class Expired(Exception):
    pass


class LeaseLock:
    """A lock that one holder at a time has, for a limited time."""

    def __init__(self, time):
        self.time = time
        self.token = 0
        self.until = None
        self.released = asyncio.Event()
        self._queue = asyncio.Lock()

    async def acquire(self):
        async with self._queue:
            while self.is_held():
                self.released.clear()
                try:
                    # It may have been renewed by then, so check once more.
                    async with asyncio.timeout_at(self.until):
                        await self.released.wait()
                except TimeoutError:
                    pass
            self.token += 1
            self.begin()
            return Lease(self, self.token)

    def is_held(self):
        now = asyncio.get_running_loop().time()
        return self.until is not None and now < self.until

    def begin(self):
        self.until = asyncio.get_running_loop().time() + self.time


class Lease:
    def __init__(self, lock, token):
        self._lock = lock
        self.token = token

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exception):
        if self._lock.token == self.token:
            self._lock.until = None
            self._lock.released.set()

    def renew(self):
        """Lets the lease expire a full time from now."""
        if self._lock.token != self.token or not self._lock.is_held():
            raise Expired("the lease has expired")
        self._lock.begin()


class Stale(Exception):
    pass


class Page:
    """Remembers who wrote it last, and the highest token that it has seen."""

    def __init__(self):
        self._newest = 0
        self.author = None

    def write(self, token, author):
        if token < self._newest:
            raise Stale(f"rejected, as {token} is less than {self._newest}")
        self._newest = token
        self.author = author

    def overwrite(self, author):
        """Writes without a check, as a store without tokens does."""
        self.author = author


class Pages:
    def __init__(self):
        self.with_tokens = Page()
        self.without = Page()


async def edit(name, lock, pages, before, after):
    async with await lock.acquire() as lease:
        print(f"{name} has lease {lease.token}")
        await asyncio.sleep(before)
        pages.without.overwrite(name)
        try:
            pages.with_tokens.write(lease.token, name)
            print(f"{name} writes")
        except Stale as stale:
            print(f"{name}: {stale}")
        try:
            lease.renew()
        except Expired as expired:
            print(f"{name} cannot renew: {expired}")
        await asyncio.sleep(after)


async def edit_in_steps(name, lock):
    async with await lock.acquire() as lease:
        print(f"{name} has lease {lease.token}")
        for _ in range(3):
            await asyncio.sleep(0.3)
            try:
                lease.renew()
            except Expired as expired:
                print(f"{name} stops: {expired}")
        print(f"{name} is done")


async def main():
    lock = LeaseLock(0.5)
    pages = Pages()
    moment = 0.1

    def start(name, before, after):
        return asyncio.create_task(edit(name, lock, pages, before, after))

    print("A lease lasts for 0.5 s, and Ann needs 0.2 s:")
    ann = start("Ann", 0.2, 0)
    await asyncio.sleep(moment)
    ben = start("Ben", 0.2, 0)
    await ann
    await ben

    print("Ann is delayed for 0.8 s:")
    ann = start("Ann", 0.8, 0)
    await asyncio.sleep(moment)
    ben = start("Ben", 0.2, 0.2)
    await asyncio.sleep(5 * moment)
    cid = start("Cid", 0.1, 0)
    await ann
    print(f"last author, with tokens: {pages.with_tokens.author}")
    print(f"last author if the store ignores tokens: {pages.without.author}")
    await ben
    await cid

    print("Ann needs 0.9 s, and renews:")
    ann = asyncio.create_task(edit_in_steps("Ann", lock))
    await asyncio.sleep(moment)
    ben = start("Ben", 0.1, 0)
    await ann
    await ben

    print("Ann renews, and is cancelled after 0.2 s:")
    ann = asyncio.create_task(edit_in_steps("Ann", lock))
    await asyncio.sleep(moment)
    ben = start("Ben", 0.1, 0)
    await asyncio.sleep(moment)
    ann.cancel()
    await ben

    print("A lease that is never released:")
    lease = await lock.acquire()
    print(f"lost: lease {lease.token}")
    await start("Ben", 0.1, 0)


asyncio.run(main())
