import asyncio
from collections import defaultdict


async def worker(events):
    balances = defaultdict(int)
    while True:
        account, amount = await events.get()
        # The odd accounts are slow.
        await asyncio.sleep(0.25 if account % 2 == 1 else 0.1)
        balance = balances[account]
        if balance + amount < 0:
            print(f"account {account} has only {balance}")
        else:
            balances[account] += amount
            print(f"account {account} has {balances[account]}")
        events.task_done()


async def fan_out(events, queues):
    for event in events:
        await queues[event[0] % len(queues)].put(event)


async def main():
    events = [(1, 50), (2, 30), (1, -80), (4, 10), (1, 20), (2, -40), (4, 5)]
    queues = [asyncio.Queue(1), asyncio.Queue(1)]
    async with asyncio.TaskGroup() as group:
        workers = [group.create_task(worker(queue)) for queue in queues]
        await fan_out(events, queues)
        for queue in queues:
            await queue.join()
        for task in workers:
            task.cancel()


asyncio.run(main())
