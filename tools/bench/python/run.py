"""Runs one of these scripts, and prints what it did and needed as JSON.

A script has `async def bench(size)`, which returns seconds, items and their sum, and takes
what it measures from the twins with `twin`, so that what is measured is what is shown.
"""

import ast
import asyncio
import importlib
import json
import pathlib
import sys
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


def main():
    name, event_loop, size = sys.argv[1:]
    sys.path.insert(0, str(HERE))
    # For the scripts, which say `from run import twin`.
    sys.modules["run"] = sys.modules["__main__"]
    script = importlib.import_module(name)
    factory = None
    if event_loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        seconds, items, total = runner.run(script.bench(int(size)))
    print(json.dumps({"value": seconds, "items": items, "sum": total}))


if __name__ == "__main__":
    main()
