import asyncio


class Account:
    def __init__(self, name):
        self.name = name
        self.balance = 100
        self.lock = asyncio.Lock()


def move_money(source, target, amount):
    if source.balance < amount:
        raise ValueError("not enough there")
    source.balance -= amount
    target.balance += amount


async def transfer(source, target, amount):
    async with source.lock:
        await asyncio.sleep(0.1)
        async with target.lock:
            move_money(source, target, amount)


async def transfer_in_order(source, target, amount):
    if source is target:
        raise ValueError("an account cannot pay itself")
    first, second = sorted([source, target], key=lambda account: account.name)
    async with first.lock:
        await asyncio.sleep(0.1)
        async with second.lock:
            move_money(source, target, amount)


async def both(first, second):
    async with asyncio.timeout(0.5):
        await asyncio.gather(first, second)


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
    try:
        await transfer_in_order(a, a, 10)
    except ValueError as error:
        print(f"From A to A: {error}")


asyncio.run(main())
