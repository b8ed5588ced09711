"""Measures what crossings cost, in microseconds: the best of five rounds.

    cargo build --release -p interop
    PYTHONPATH=FOLDER python crates/interop/costs.py asyncio   # or uvloop

FOLDER has the library as `cpu_bound_rs.abi3.so` and as `shared_client_rs.abi3.so`.
"""

import asyncio
import sys
from time import perf_counter

from cpu_bound_rs import count_primes, count_primes_here
from shared_client_rs import Client

client = Client("127.0.0.1", 1, 1)


async def number():
    return 1


def called(make, count):
    async def run():
        for _ in range(count):
            make()

    return run


def awaited(make, count):
    async def run():
        for _ in range(count):
            await make()

    return run


def at_the_same_time(make, count):
    async def run():
        for _ in range(count // 100):
            await asyncio.gather(*[make() for _ in range(100)])

    return run


async def show(title, kind, make, count):
    async def once():
        start = perf_counter()
        await kind(make, count)()
        return (perf_counter() - start) / count * 1e6

    print(f"{title:52} {min([await once() for _ in range(5)]):9.2f}", flush=True)


async def main():
    here = lambda: count_primes_here(0)
    await show("call a Rust function that detaches", called, here, 100_000)
    await show("await a Python coroutine", awaited, number, 100_000)
    await show("... as a task", awaited, lambda: asyncio.create_task(number()), 10_000)
    in_thread = lambda: asyncio.to_thread(abs, 1)
    await show("await asyncio.to_thread", awaited, in_thread, 5_000)
    await show("await a Rust future that is ready", awaited, client.aclose, 5_000)
    await show("... 100 at the same time", at_the_same_time, client.aclose, 5_000)
    for end in (60, 600, 3_500, 20_000):
        for kind, make in ((called, count_primes_here), (awaited, count_primes)):
            title = f"primes below {end}, {kind.__name__}"
            await show(title, kind, lambda: make(end), max(200, 2_000_000 // end // 10))
        make = lambda: count_primes(end)
        await show("... 100 at the same time", at_the_same_time, make, 1000)


if __name__ == "__main__":
    if sys.argv[1:] == ["uvloop"]:
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())
