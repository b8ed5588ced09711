import asyncio


async def check(name, amount):
    await asyncio.sleep(0.1)
    print(f"{amount} from {name} checked")


def move_money(source, target, amount):
    if source.balance < amount:
        raise ValueError("not enough there")
    source.balance -= amount
    target.balance += amount


class Account:
    def __init__(self, name):
        self.name = name
        self.balance = 100
        self.lock = asyncio.Lock()


async def transfer(source, target, amount):
    async with source.lock:
        await check(source.name, amount)
        async with target.lock:
            move_money(source, target, amount)


async def transfer_in_order(source, target, amount):
    if source is target:
        raise ValueError("not two accounts")
    first, second = sorted([source, target], key=lambda account: account.name)
    async with first.lock:
        await check(source.name, amount)
        async with second.lock:
            move_money(source, target, amount)


class Bank:
    def __init__(self):
        self.accounts = [Account("A"), Account("B")]
        self.lock = asyncio.Lock()

    async def transfer(self, back, amount):
        async with self.lock:
            first, second = self.accounts
            source, target = (second, first) if back else (first, second)
            await check(source.name, amount)
            move_money(source, target, amount)


async def both(first, second):
    async def later():
        await asyncio.sleep(0.05)
        await second

    async with asyncio.timeout(0.5):
        await asyncio.gather(first, later())


async def main():
    a, b = Account("A"), Account("B")

    print("Two orders:")
    try:
        await both(transfer(a, b, 10), transfer(b, a, 30))
    except TimeoutError:
        print("still waiting after 0.5 s")
    print(f"A {a.balance}, B {b.balance}")

    print("One order:")
    await both(transfer_in_order(a, b, 10), transfer_in_order(b, a, 30))
    print(f"A {a.balance}, B {b.balance}")
    for target, amount in [(b, 500), (a, 10)]:
        try:
            await transfer_in_order(a, target, amount)
        except ValueError as error:
            print(f"{amount} from A to {target.name}: {error}")

    print("One lock:")
    bank = Bank()
    await both(bank.transfer(False, 10), bank.transfer(True, 30))
    a, b = bank.accounts
    print(f"A {a.balance}, B {b.balance}")


asyncio.run(main())
