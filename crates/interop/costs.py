"""Measures what crossings cost, in microseconds: the best of five rounds.

    cargo build --release -p interop
    PYTHONPATH=FOLDER python crates/interop/costs.py asyncio   # or uvloop
    PYTHONPATH=FOLDER python crates/interop/costs.py record    # for docs/speed.json

FOLDER has the library as `cpu_bound_rs.abi3.so` and as `shared_client_rs.abi3.so`.
"""

import asyncio
import json
import os
import platform
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median
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


ROUNDS = 7
SPEED = Path(__file__).resolve().parents[2] / "docs/speed.json"


def primes_in_python(end):
    return sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(2, end))


async def seconds(make, count, right):
    start = perf_counter()
    for _ in range(count):
        if await make() != right:
            sys.exit("it did not count the primes")
    return perf_counter() - start


def in_turns(title, name, end, count):
    """Awaits the primes below `end`, on a thread of Rust and on one of Python, on both loops."""
    import uvloop

    right = primes_in_python(end)
    rust = lambda: seconds(lambda: count_primes(end), count, right)
    python = lambda: seconds(
        lambda: asyncio.to_thread(primes_in_python, end), count, right
    )
    loops = {"asyncio": asyncio.run, "uvloop": uvloop.run}
    rounds = [
        {loop: (run(rust()), run(python())) for loop, run in loops.items()}
        for _ in range(ROUNDS)
    ]

    def peer(loop):
        ratios = [each[loop][1] / each[loop][0] for each in rounds]
        spread = {"median": median(ratios), "low": min(ratios), "high": max(ratios)}
        value = median(each[loop][1] for each in rounds)
        return {"name": loop, "value": value, "ratio": {"of": "peer_by_ours", **spread}}

    return {
        "name": name,
        "title": title,
        "example": "interop/cpu_bound",
        "unit": "seconds",
        "items": count,
        "ours": median(each["asyncio"][0] for each in rounds),
        "peers": [peer(loop) for loop in loops],
    }


def record():
    """Puts the measurements among the earlier ones of docs/speed.json, in place of the last."""
    sizes = [(60, 2_000), (600, 1_000), (3_500, 300), (20_000, 30)]
    measured = [
        in_turns(
            f"The primes below {end:,}, awaited {count:,} times from Python",
            f"interop_primes_{end}",
            end,
            count,
        )
        for end, count in sizes
    ]
    speed = json.loads(SPEED.read_text())
    ours = {row["name"] for row in measured}
    kept = [
        it
        for it in speed["earlier"]
        if ours.isdisjoint(row["name"] for row in it["measurements"])
    ]
    rustc = os.popen("rustc --version").read().split()[1]
    versions = [f"CPython {platform.python_version()}", f"rustc {rustc}"]
    now = {
        "date": date.today().isoformat(),
        "machine": speed["machine"],
        "versions": [*versions, f"uvloop {version('uvloop')}"],
        "rounds": ROUNDS,
        "measurements": measured,
    }
    speed["earlier"] = [*kept, now]
    SPEED.write_text(json.dumps(speed, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["record"]:
        record()
    elif sys.argv[1:] == ["uvloop"]:
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())
