import asyncio
from dataclasses import dataclass, field


@dataclass
class Resource:
    value: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


async def increment(name, start, resource):
    await asyncio.sleep(start)
    for _ in range(3):
        async with resource.lock:
            current = resource.value
            await asyncio.sleep(0.1)
            resource.value = current + 1
            print(f"{name}: {resource.value}")


async def count(counter):
    await asyncio.sleep(0.1)
    for _ in range(100):
        # Nobody else runs between two awaits, so no lock is needed.
        counter.value += 1


@dataclass
class Accounts:
    ada: int
    ben: int
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


async def transfer_in_two_steps(amount, accounts):
    async with accounts.lock:
        accounts.ada -= amount
        await asyncio.sleep(0.2)
        accounts.ben += amount


async def main():
    print("Locked across an await:")
    shared_resource = Resource()
    async with asyncio.TaskGroup() as group:
        group.create_task(increment("Worker1", 0, shared_resource))
        group.create_task(increment("Worker2", 0.05, shared_resource))
    print(f"Final value: {shared_resource.value}")

    print("No await in between:")
    counter = Resource()
    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(count(counter))
    print(f"Final value: {counter.value}")

    print("A holder that is cancelled half-way:")
    limit = 0.1
    accounts = Accounts(ada=100, ben=0)
    try:
        async with asyncio.timeout(limit):
            await transfer_in_two_steps(30, accounts)
    except TimeoutError:
        async with accounts.lock:
            print(f"Out of time: Ada {accounts.ada}, Ben {accounts.ben}")


asyncio.run(main())
