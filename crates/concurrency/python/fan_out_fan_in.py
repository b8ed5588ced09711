import asyncio
from collections import defaultdict

WORKERS = 2
CAPACITY = 1
END = None


async def worker(events, results):
    balances = defaultdict(int)
    while (event := await events.get()) is not END:
        account, amount = event
        # The odd accounts are slow.
        await asyncio.sleep(0.25 if account % 2 == 1 else 0.1)
        balance = balances[account]
        if balance + amount < 0:
            await results.put(f"account {account} has only {balance}, not {-amount}")
        else:
            balances[account] += amount
            await results.put(f"account {account} has {balances[account]}")


async def fan_out(events, workers):
    for event in events:
        await workers[event[0] % len(workers)].put(event)
    for events in workers:
        await events.put(END)


async def process(events, results):
    workers = [asyncio.Queue(CAPACITY) for _ in range(WORKERS)]
    async with asyncio.TaskGroup() as group:
        for queue in workers:
            group.create_task(worker(queue, results))
        group.create_task(fan_out(events, workers))
    await results.put(END)


async def main():
    print("All results:")
    events = [(1, 50), (2, 30), (1, -80), (4, 10), (1, 20), (2, -40), (4, 5)]
    results = asyncio.Queue(CAPACITY)
    processing = asyncio.create_task(process(events, results))
    while (outcome := await results.get()) is not END:
        print(outcome)
    await processing

    print("Left after the first result:")
    results = asyncio.Queue(CAPACITY)
    processing = asyncio.create_task(process(events, results))
    print(await results.get())
    processing.cancel()
    await asyncio.wait([processing])
    await asyncio.sleep(0.3)
    print("0.3 s later")


asyncio.run(main())
