"""Runs a contestant of these, and prints what it did and needed as JSON.

A contestant takes the size, and returns items and their sum; and what it measured, if that is
not the time of all. What it uses it takes from the twins with `twin`, so that what is measured is what is shown.
"""

import ast
import asyncio
import json
import pathlib
import resource
import sys
import types
from functools import partial
from time import perf_counter

ROOT = pathlib.Path(__file__).resolve().parents[2]


def twin(example):
    """The module of a twin, as `concurrency/lock`, without the call that runs it."""
    section, name = example.split("/")
    path = ROOT / "crates" / section / "python" / f"{name}.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if ast.unparse(tree.body.pop()) != "asyncio.run(main())":
        raise SystemExit(f"{path} does not end with asyncio.run(main())")
    module = types.ModuleType(f"twin_{name}")
    # Where dataclasses look for it.
    sys.modules[module.__name__] = module
    exec(compile(tree, path, "exec"), module.__dict__)
    return module


async def shared(count, size, work):
    """Runs tasks that share the numbers below the size. Each returns items and sum."""
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(work(range(first, size, count))) for first in range(count)
        ]
    items, totals = zip(*(task.result() for task in tasks))
    return sum(items), sum(totals)


async def number(number):
    return number


async def yield_and(number):
    await asyncio.sleep(0)
    return number


def counted(numbers):
    return len(numbers), sum(numbers)


async def spawn(size):
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(number(n)) for n in range(size)]
    return counted([task.result() for task in tasks])


async def gather(size):
    return counted(await asyncio.gather(*map(yield_and, range(size))))


END = None


async def put_all(queue, numbers):
    for number in numbers:
        await queue.put(number)


async def get_all(queue):
    items = total = 0
    while (number := await queue.get()) is not END:
        items += 1
        total += number
    return items, total


async def transfer(sides, size):
    queue = asyncio.Queue(2)
    async with asyncio.TaskGroup() as consumers:
        tasks = [consumers.create_task(get_all(queue)) for _ in range(sides)]
        async with asyncio.TaskGroup() as producers:
            for first in range(sides):
                producers.create_task(put_all(queue, range(first, size, sides)))
        await put_all(queue, [END] * sides)
    items, totals = zip(*(task.result() for task in tasks))
    return sum(items), sum(totals)


queue_1_to_1 = partial(transfer, 1)
queue_4_to_4 = partial(transfer, 4)


async def guarded(make_guard, count, size):
    """Adds up numbers. Each task awaits while it holds the guard."""
    guard, total = make_guard(), 0

    async def add(numbers):
        nonlocal total
        for number in numbers:
            async with guard:
                await asyncio.sleep(0)
                total += number
        return len(numbers), 0

    items, _ = await shared(count, size, add)
    return items, total


semaphore = partial(guarded, partial(asyncio.Semaphore, 10), 100)
lock = partial(guarded, asyncio.Lock, 10)


async def generator(size):
    async def generate():
        for number in range(size):
            yield number

    items = total = 0
    async for number in generate():
        items += 1
        total += number
    return items, total


WorkerPool = twin("concurrency/worker_pool").WorkerPool


async def worker_pool(size):
    items = total = 0

    def count(result):
        nonlocal items, total
        items += 1
        total += result.result()

    async with WorkerPool(4, 2, number) as pool:
        for n in range(size):
            result = await pool.submit(n)
            result.add_done_callback(count)
    return items, total


def memory():
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


async def sleeper_memory(size):
    before = memory()
    tasks = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(size)]
    # All of them begin before this goes on.
    await asyncio.sleep(0.2)
    needed = memory() - before
    items = sum(not task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return items, 0, needed


async def http_requests(size):
    from aiohttp import web

    http = twin("real-world/http_requests")

    async def post(request):
        number = int(request.match_info["id"])
        return web.json_response({"id": number, "title": f"Title {number}"})

    app = web.Application()
    app.router.add_get("/posts/{id}", post)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = "http://{}:{}/posts".format(*runner.addresses[0])
    async with http.session(5, 30) as session:

        async def fetch_some(numbers):
            items = total = 0
            for number in numbers:
                data = await http.fetch_json(session, f"{url}/{number}")
                items += 1
                total += data["id"] + len(data["title"])
            return items, total

        begun = perf_counter()
        items, total = await shared(50, size, fetch_some)
        seconds = perf_counter() - begun
    await runner.cleanup()
    return items, total, seconds


def main():
    event_loop, function, size = sys.argv[1:]
    factory = None
    if event_loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        contestant = globals()[function](int(size))
        begun = perf_counter()
        items, total, *value = runner.run(contestant)
        value = value[0] if value else perf_counter() - begun
    print(json.dumps({"value": value, "items": items, "sum": total}))


if __name__ == "__main__":
    main()
