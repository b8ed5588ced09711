import asyncio
import contextvars
import gc
import math
import sys
import warnings
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import run, settle, yes

# A coroutine that is not awaited is meant so here.
warnings.simplefilter("ignore")


def told(log):
    return f"[{', '.join(log)}]"


async def working(log, name):
    await asyncio.sleep(0.1)
    log.append(name)


async def outcome(task):
    """Tells what an ended task returns, or that it was cancelled."""
    await asyncio.wait([task])
    return "cancelled" if task.cancelled() else f"returns {task.result()}"


# Cancel.


async def cancel_sleeping():
    task = asyncio.create_task(working([], "went on"))
    await settle()
    task.cancel()
    await settle()
    return f"done: {yes(task.done())}, cancelled: {yes(task.cancelled())}"


async def cancel_done():
    async def body():
        return 42

    task = asyncio.create_task(body())
    await settle()
    task.cancel()
    return await outcome(task)


async def cancel_twice():
    task = asyncio.create_task(working([], "went on"))
    await settle()
    task.cancel()
    task.cancel()
    await asyncio.wait([task])
    return f"cancelled: {yes(task.cancelled())}"


async def cancel_unstarted():
    async def body():
        log.append("started")

    log = []
    task = asyncio.create_task(body())
    task.cancel()
    await asyncio.wait([task])
    return f"cancelled: {yes(task.cancelled())}; {told(log)}"


async def cancel_itself_then_wait():
    async def body():
        asyncio.current_task().cancel()
        log.append("goes on until its await")
        await asyncio.sleep(0.01)
        log.append("goes on behind it")

    log = []
    task = asyncio.create_task(body())
    await asyncio.wait([task])
    return f"cancelled: {yes(task.cancelled())}; {', '.join(log)}"


async def cancel_itself_then_return():
    async def body():
        asyncio.current_task().cancel()
        return 12

    return await outcome(asyncio.create_task(body()))


async def cancel_awaited_task():
    async def wait():
        await inner

    log = []
    inner = asyncio.create_task(working(log, "the inner goes on"))
    outer = asyncio.create_task(wait())
    await settle()
    outer.cancel()
    await asyncio.sleep(0.2)
    return told(log)


async def cancel_awaited_future():
    async def wait():
        return await future

    future = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(wait())
    await settle()
    future.cancel()
    await asyncio.wait([task])
    return "the task is cancelled" if task.cancelled() else "it goes on"


async def cleanup_waits():
    async def body():
        try:
            await asyncio.sleep(100)
        finally:
            log.append("the clean-up begins")
            await asyncio.sleep(0.02)
            log.append("the clean-up ends")

    log = []
    task = asyncio.create_task(body())
    await settle()
    task.cancel()
    await asyncio.wait([task])
    log.append("the task has ended")
    return ", ".join(log)


async def own_timeout():
    async def body():
        task, due = asyncio.current_task(), False

        def time_out():
            nonlocal due
            due = True
            task.cancel()

        timer = asyncio.get_running_loop().call_later(0.02, time_out)
        try:
            await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            if task.uncancel() > 0 or not due:
                raise
        timer.cancel()
        log.append(f"timed out: {yes(due)}")
        await asyncio.sleep(0.01)
        log.append("the task goes on")

    log = []
    task = asyncio.create_task(body())
    await asyncio.wait([task])
    return f"{', '.join(log)}; cancelled: {yes(task.cancelled())}"


async def cancelled_as_it_fails():
    async def fail():
        await asyncio.sleep(0.02)
        raise LookupError("the error")

    async def parent():
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
        except ExceptionGroup:
            pass
        await asyncio.sleep(0.1)
        log.append("the parent goes on")

    log = []
    task = asyncio.create_task(parent())
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.wait([task])
    return f"cancelled: {yes(task.cancelled())}; {told(log)}"


# Await.


async def await_twice():
    async def body():
        return 7

    task = asyncio.create_task(body())
    return f"{await task} and {await task}"


async def await_itself():
    async def body():
        await asyncio.current_task()

    try:
        await asyncio.create_task(body())
        return "ends"
    except RuntimeError:
        return "refused"


async def error_of_a_task():
    async def body():
        raise LookupError("the task's own error")

    try:
        await asyncio.create_task(body())
    except LookupError as error:
        return str(error)


async def wrap_a_task():
    log = []
    task = asyncio.create_task(working(log, "the task goes on"))
    wrapped = asyncio.ensure_future(task)
    await settle()
    wrapped.cancel()
    await asyncio.sleep(0.2)
    return told(log)


async def forgotten():
    log = []
    asyncio.create_task(working(log, "the task goes on"))
    await asyncio.sleep(0.2)
    return told(log)


async def never_awaited():
    async def body():
        log.append("ran")

    log = []
    body()
    gc.collect()
    await settle()
    return told(log)


async def order_of_start():
    async def body(name):
        log.append(name)

    log = []
    tasks = [asyncio.create_task(body(name)) for name in ["a", "b", "c"]]
    log.append("created")
    await asyncio.wait(tasks)
    return f"all run after it: {yes(log[0] == 'created')}"


# Context.

name = contextvars.ContextVar("name", default="nothing")


async def read():
    return name.get()


async def context():
    name.set("outer")
    return f"the task reads {await asyncio.create_task(read())}"


async def context_of_thread():
    name.set("outer")
    return f"the thread reads {await asyncio.to_thread(name.get)}"


async def context_of_the_handler():
    async def fail():
        name.set("the task's")
        raise LookupError("not handled")

    log, loop = [], asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: log.append(name.get("nothing")))
    await asyncio.wait([asyncio.create_task(fail())])
    gc.collect()
    loop.set_exception_handler(None)
    return f"the handler reads {', '.join(log)}"


async def context_of_awaited():
    name.set("outer")
    return f"the call reads {await read()}"


# Sleep.


async def sleep(seconds):
    await asyncio.sleep(seconds)
    return "returns"


# Shield.


async def shield_cancelled():
    async def wait():
        await asyncio.shield(inner)
        log.append("the code behind goes on")

    log = []
    inner = asyncio.create_task(working(log, "the inner goes on"))
    outer = asyncio.create_task(wait())
    await settle()
    outer.cancel()
    await asyncio.sleep(0.2)
    return ", ".join(log)


async def shield_inner_cancelled():
    async def wait():
        await asyncio.shield(inner)

    inner = asyncio.create_task(working([], ""))
    outer = asyncio.create_task(wait())
    await settle()
    inner.cancel()
    await asyncio.wait([outer])
    return "the outer is cancelled" if outer.cancelled() else "returns"


async def shield_not_awaited():
    async def body():
        log.append("ran")

    log = []
    asyncio.shield(body())
    await settle()
    return told(log)


def probes():
    yield "task.cancel.sleeping", cancel_sleeping()
    yield "task.cancel.done-changes-nothing", cancel_done()
    yield "task.cancel.twice", cancel_twice()
    yield "task.cancel.unstarted-never-runs", cancel_unstarted()
    yield "task.cancel.itself-at-next-await", cancel_itself_then_wait()
    yield "task.cancel.itself-then-return", cancel_itself_then_return()
    for counterpart in ["", "@AbortOnDropHandle"]:
        yield f"task.cancel.awaited-task{counterpart}", cancel_awaited_task()
    yield "task.cancel.by-awaited-future", cancel_awaited_future()
    yield "task.cancel.waits-for-cleanup", cleanup_waits()
    yield "task_group.error.and-cancel", cancelled_as_it_fails()
    yield "task.uncancel.own-timeout", own_timeout()
    yield "task.await.twice", await_twice()
    yield "task.await.itself-refused", await_itself()
    yield "task.await.raises-its-error", error_of_a_task()
    yield "ensure_future.task-is-itself", wrap_a_task()
    yield "task.forgotten.keeps-running", forgotten()
    yield "coroutine.not-awaited.never-runs", never_awaited()
    yield "create_task.starts-later", order_of_start()
    for counterpart in ["", "@scope"]:
        yield f"context.task.inherits{counterpart}", context()
    for counterpart in ["", "@sync_scope"]:
        yield f"context.thread.inherits{counterpart}", context_of_thread()
    yield "handler.context", context_of_the_handler()
    yield "context.await.is-the-same", context_of_awaited()
    yield "sleep.negative.returns", sleep(-0.5)
    for counterpart in ["@difference", "@saturating_sub"]:
        yield f"sleep.negative.returns{counterpart}", sleep(0.01 - 0.02)
    yield "sleep.nan.refused", sleep(math.nan)
    for counterpart in ["", "@MAX"]:
        yield f"sleep.infinite.forever{counterpart}", sleep(math.inf)
    yield "shield.cancel-outer.inner-runs", shield_cancelled()
    yield "shield.cancel-inner.cancels-outer", shield_inner_cancelled()
    yield "shield.not-awaited.inner-runs", shield_not_awaited()


run(probes, 20)
