import asyncio
import contextvars
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import run, settle, yes


async def cancelled_as_the_inner_ends():
    future = asyncio.get_running_loop().create_future()

    async def wait():
        await asyncio.wait_for(future, 0.5)
        await asyncio.sleep(0.5)

    waiting = asyncio.create_task(wait())
    await settle()
    future.set_result(None)
    waiting.cancel()
    await asyncio.wait([waiting])
    return f"the waiter is cancelled: {yes(waiting.cancelled())}"


def eager(call):
    return asyncio.eager_task_factory(asyncio.get_running_loop(), call)


async def eager_done():
    async def body():
        return 42

    task = eager(body())
    return f"done with {task.result()}" if task.done() else "not done"


async def eager_waits():
    async def body():
        log.append("the first step")
        await settle()
        log.append("the rest")

    log = []
    task = eager(body())
    log.append("created")
    await task
    return ", ".join(log)


async def eager_current_task():
    async def body():
        first = asyncio.current_task() is not caller
        await settle()
        return first, asyncio.current_task() is not caller

    caller = asyncio.current_task()
    first, later = await eager(body())
    return f"its own task in the first step: {yes(first)}, later: {yes(later)}"


name = contextvars.ContextVar("name", default="nothing")


async def eager_context():
    async def body():
        first = name.get()
        await settle()
        return first, name.get()

    name.set("outer")
    first, later = await eager(body())
    return f"the first step reads {first}, the rest {later}"


async def eager_error():
    async def body():
        raise LookupError("a bug in the first step")

    task = eager(body())
    await asyncio.wait([task])
    return "the creator goes on" if task.exception() else ""


def probes():
    yield "wait_for.cancel.as-inner-ends", cancelled_as_the_inner_ends()
    yield "eager.create_task.done-without-wait", eager_done()
    yield "eager.create_task.first-step-now", eager_waits()
    yield "eager.current_task.in-first-step", eager_current_task()
    yield "eager.context.one-for-all-steps", eager_context()
    yield "eager.error.belongs-to-task", eager_error()


run(probes, 5)
