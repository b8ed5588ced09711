import asyncio
import threading
from collections import Counter
from contextlib import ExitStack


class Shard:
    """A thread with an event loop and data of its own."""

    def __init__(self):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._balances = Counter()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def deposit(self, account, amount):
        booking = self._deposit(account, amount)
        booked = asyncio.run_coroutine_threadsafe(booking, self._loop)
        return asyncio.wrap_future(booked)

    async def _deposit(self, account, amount):
        await asyncio.sleep(0.2)
        self._balances[account] += amount
        return self._balances[account], threading.get_ident()


async def main():
    deposits = [(0, 5), (1, 3), (2, 8), (3, 1)]
    threads = set()
    with ExitStack() as stack:
        shards = [stack.enter_context(Shard()) for _ in range(2)]
        for _ in range(2):
            print("Four deposits:")
            booked = [
                shards[account % len(shards)].deposit(account, amount)
                for account, amount in deposits
            ]
            results = await asyncio.gather(*booked)
            for (account, _), (balance, thread) in zip(deposits, results):
                print(f"Account {account}: {balance}")
                threads.add(thread)
        print(f"Threads: {len(threads)}")


asyncio.run(main())
