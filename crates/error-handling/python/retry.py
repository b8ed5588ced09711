import asyncio
import itertools
import math
from collections import deque
from dataclasses import dataclass


class GaveUp(Exception):
    def __init__(self, why, tries, error):
        super().__init__(f"gave up after try {tries}, {why}: {error}")


@dataclass
class Fixed:
    seconds: float

    def after(self, tries, shortest):
        return max(self.seconds, shortest)


@dataclass
class Jitter:
    """Exponential back-off with full jitter, in whole milliseconds."""

    first: int
    longest: int
    random: "SplitMix64"

    def after(self, tries, shortest):
        bound = min(self.first * 2 ** (tries - 1), self.longest)
        return shortest + self.random.up_to(bound) / 1000


class SplitMix64:
    """For the numbers that the Rust program draws; elsewhere `random.uniform` will do."""

    MASK = 2**64 - 1

    def __init__(self, seed):
        self._state = seed

    def next(self):
        self._state = (self._state + 0x9E3779B97F4A7C15) & self.MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & self.MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & self.MASK
        return mixed ^ (mixed >> 31)

    def up_to(self, most):
        return (self.next() * (most + 1)) >> 64


@dataclass
class Policy:
    tries: int
    pauses: Fixed | Jitter
    within: float = math.inf


async def retry(policy, judge, call):
    """Calls until a try succeeds, pausing in between, or the policy or `judge` end it.

    `judge` gives the shortest pause in seconds, or None if another try would not help.
    """
    loop = asyncio.get_running_loop()
    start = loop.time()
    for tries in itertools.count(1):
        try:
            return await call()
        except Exception as error:
            shortest = judge(error)
            if shortest is None:
                raise GaveUp("another would not help", tries, error) from error
            if tries >= policy.tries:
                raise GaveUp("there are no more", tries, error) from error
            pause = policy.pauses.after(tries, shortest)
            if loop.time() - start + pause > policy.within:
                raise GaveUp("there is no time for another", tries, error) from error
        await asyncio.sleep(pause)


class ShopError(Exception):
    pass


class Unavailable(ShopError):
    def __str__(self):
        return "503 Service Unavailable"


class NotFound(ShopError):
    def __str__(self):
        return "404 Not Found"


class TooMany(ShopError):
    def __init__(self, retry_after):
        self.retry_after = retry_after

    def __str__(self):
        millis = round(self.retry_after * 1000)
        return f"429 Too Many Requests, come back after {millis} ms"


class NoAnswer(ShopError):
    def __str__(self):
        return "no answer"


def judge(error):
    match error:
        case Unavailable() | NoAnswer():
            return 0
        case TooMany():
            return error.retry_after
        case _:
            return None


class Shop:
    """A shop that answers as it was told to, and then confirms after 0.1 s."""

    def __init__(self, *answers):
        self._answers = deque(answers)
        self._orders = 0

    async def order(self):
        answer = self._answers.popleft() if self._answers else 0.1
        if isinstance(answer, Exception):
            await asyncio.sleep(0.1)
            raise answer
        self._orders += 1
        number = self._orders
        await asyncio.sleep(answer)
        return f"order {number} confirmed"

    async def try_order(self, number, patience):
        try:
            try:
                async with asyncio.timeout(patience):
                    order = await self.order()
            except TimeoutError:
                raise NoAnswer from None
            print(f"try {number}: {order}")
        except ShopError as error:
            print(f"try {number}: {error}")
            raise


async def order(policy, shop, patience):
    numbers = itertools.count(1)
    try:
        await retry(policy, judge, lambda: shop.try_order(next(numbers), patience))
    except GaveUp as gave_up:
        print(gave_up)


class Counter:
    """Serves one client at a time, for 0.15 s, and turns away the others."""

    def __init__(self):
        self._lock = asyncio.Lock()

    async def visit(self, client):
        if self._lock.locked():
            print(f"{client} is turned away")
            raise Unavailable
        async with self._lock:
            await asyncio.sleep(0.15)
            print(f"{client} was served")


async def visit_all(pauses):
    counter = Counter()

    async def visit(client, pauses):
        policy = Policy(tries=3, pauses=pauses)
        try:
            await retry(policy, judge, lambda: counter.visit(client))
        except GaveUp as gave_up:
            print(f"{client} {gave_up}")

    clients = ["Ann", "Bob", "Cy", "Dee"]
    await asyncio.gather(*map(visit, clients, pauses))


async def main():
    pause = 0.2
    policy = Policy(tries=3, pauses=Fixed(pause), within=0.8)
    patience = 0.15

    print("Three tries, 0.2 s apart:")
    shop = Shop(Unavailable(), Unavailable())
    await order(policy, shop, patience)

    print("One failure more:")
    shop = Shop(Unavailable(), Unavailable(), Unavailable())
    await order(policy, shop, patience)

    print("An error that another try does not mend:")
    shop = Shop(Unavailable(), NotFound())
    await order(policy, shop, patience)

    print("The shop says when to come back; there are 0.8 s in all:")
    shop = Shop(TooMany(0.3), TooMany(0.4))
    await order(policy, shop, patience)

    print("No answer within 0.15 s, but the order was taken:")
    shop = Shop(1)
    await order(policy, shop, patience)

    print("Four come at once, and come back at one pace:")
    await visit_all([Fixed(pause)] * 4)

    print("With jitter:")
    seeds = [1, 22, 5, 23]
    await visit_all([Jitter(600, 800, SplitMix64(seed)) for seed in seeds])


asyncio.run(main())
