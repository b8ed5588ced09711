import asyncio
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import run, yes


async def as_main(body):
    """Runs the coroutine as the body of a program, on another thread."""
    return await asyncio.to_thread(asyncio.run, body)


async def has_task():
    task = asyncio.current_task()
    return "there is no task" if task is None else "there is a task"


async def task_in_a_thread():
    try:
        await asyncio.to_thread(asyncio.current_task)
        return "there is a task"
    except RuntimeError:
        return "there is no task"


async def count():
    async def wait():
        await asyncio.sleep(100)

    tasks = [asyncio.create_task(wait()) for _ in range(100)]
    return str(len(asyncio.all_tasks())) if tasks else ""


async def after_one_turn():
    async def body():
        nonlocal count
        count += 1

    count = 0
    tasks = [asyncio.create_task(body()) for _ in range(100)]
    await asyncio.sleep(0)
    return f"all of {len(tasks)} have run: {yes(count == 100)}"


async def in_a_task(body):
    return await asyncio.create_task(body)


def probes():
    yield "current_task.main.is-a-task", as_main(has_task())
    yield "current_task.main.is-a-task@id", as_main(has_task())
    yield "current_task.task.is-itself", as_main(in_a_task(has_task()))
    yield "current_task.thread.is-none", as_main(task_in_a_thread())
    yield "all_tasks.main.counted", as_main(count())
    yield "sleep-zero.main.runs-all-ready", as_main(after_one_turn())
    yield "sleep-zero.task.runs-all-ready", as_main(in_a_task(after_one_turn()))


run(probes, 0.5)
