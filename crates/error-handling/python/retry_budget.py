import asyncio


class RetryBudget:
    """Allows retries as a share of all calls."""

    COST = 100  # of a retry; a call earns as many as the budget has percent

    def __init__(self, percent, burst):
        self._percent = percent
        self._capacity = self._balance = burst * self.COST

    def deposit(self):
        self._balance = min(self._balance + self._percent, self._capacity)

    def withdraw(self):
        if self._balance < self.COST:
            return False
        self._balance -= self.COST
        return True

    async def retry(self, max_attempts, backoff, attempt):
        self.deposit()
        for _ in range(1, max_attempts):
            try:
                return await attempt()
            except Unavailable:
                if not self.withdraw():
                    raise
            await asyncio.sleep(backoff)
            backoff *= 2
        return await attempt()


class Unavailable(Exception):
    pass


class Server:
    """Counts its requests, and is down for some of them."""

    def __init__(self, down):
        self.down = down
        self.requests = 0

    async def get(self):
        request = self.requests
        self.requests += 1
        if request in self.down:
            raise Unavailable("unavailable")


async def make_calls(server, budget):
    served = 0
    for _ in range(10):
        try:
            await budget.retry(3, BACKOFF, server.get)
        except Unavailable:
            continue
        served += 1
    print(f"10 calls: {server.requests} requests, {served} served")


BACKOFF = 0.05


async def main():
    print("One failure, retried:")
    await make_calls(Server(range(5, 6)), RetryBudget(10, 2))

    print("An outage, three attempts a call:")
    await make_calls(Server(range(100)), RetryBudget(200, 2))

    print("An outage, with retries for 10 % of the calls:")
    await make_calls(Server(range(100)), RetryBudget(10, 2))

    print("Two layers, each with three attempts:")
    server, budget = Server(range(100)), RetryBudget(200, 9)

    async def inner():
        await budget.retry(3, BACKOFF, server.get)

    try:
        await budget.retry(3, BACKOFF, inner)
    except Unavailable as error:
        print(f"1 call: {server.requests} requests, {error}")


asyncio.run(main())
