import asyncio
from collections import defaultdict


async def worker(events, results):
    balances = defaultdict(int)
    while True:
        account, amount = await events.get()
        # The odd accounts are slow.
        await asyncio.sleep(0.25 if account % 2 == 1 else 0.1)
        balance = balances[account]
        if balance + amount < 0:
            await results.put(f"account {account} has only {balance}")
        else:
            balances[account] += amount
            await results.put(f"account {account} has {balances[account]}")
        events.task_done()


async def fan_out(events, queues):
    for event in events:
        await queues[event[0] % len(queues)].put(event)


async def print_all(results):
    while True:
        print(await results.get())
        results.task_done()


async def main():
    events = [(1, 50), (2, 30), (1, -80), (4, 10), (1, 20), (2, -40), (4, 5)]
    queues = [asyncio.Queue(1), asyncio.Queue(1)]
    results = asyncio.Queue(1)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(worker(queue, results)) for queue in queues]
        tasks.append(group.create_task(print_all(results)))
        await fan_out(events, queues)
        for queue in [*queues, results]:
            await queue.join()
        for task in tasks:
            task.cancel()


asyncio.run(main())
