"""Runs a function of these modules, and prints what it did and needed as JSON.

Such a function takes the size, and returns seconds (or bytes), items and their sum. What it
measures it takes from the twins with `twin`, so that what is measured is what is shown.
"""

import ast
import asyncio
import importlib
import json
import pathlib
import sys
import time
import types

HERE = pathlib.Path(__file__).resolve().parent


def twin(example):
    """The module of a twin, as `concurrency/lock`, without the call that runs it."""
    section, name = example.split("/")
    path = HERE.parents[2] / "crates" / section / "python" / f"{name}.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if ast.unparse(tree.body.pop()) != "asyncio.run(main())":
        raise SystemExit(f"{path} does not end with asyncio.run(main())")
    module = types.ModuleType(f"twin_{name}")
    # Where dataclasses look for it.
    sys.modules[module.__name__] = module
    exec(compile(tree, path, "exec"), module.__dict__)
    return module


async def shared(count, size, work):
    """Times tasks that share the numbers below the size. Each returns items and sum."""
    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(work(range(first, size, count))) for first in range(count)
        ]
    seconds = time.perf_counter() - begun
    items, totals = zip(*(task.result() for task in tasks))
    return seconds, sum(items), sum(totals)


def main():
    event_loop, function, size = sys.argv[1:]
    sys.path.insert(0, str(HERE))
    # For the modules, which say `from run import twin`.
    sys.modules["run"] = sys.modules["__main__"]
    module, name = function.split(".")
    bench = getattr(importlib.import_module(module), name)
    factory = None
    if event_loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        seconds, items, total = runner.run(bench(int(size)))
    print(json.dumps({"value": seconds, "items": items, "sum": total}))


if __name__ == "__main__":
    main()
