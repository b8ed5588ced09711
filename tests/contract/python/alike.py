import asyncio
import contextvars
import gc
import inspect
import sys
from collections.abc import Coroutine
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import run, settle, yes

NAME = contextvars.ContextVar("NAME")


# Await.


async def returns_a_future():
    async def call():
        future = asyncio.get_running_loop().create_future()
        future.set_result(42)
        return future

    future = await call()
    return f"a future, and then {await future}"


async def one_task():
    async def inner():
        await asyncio.sleep(0.001)
        return asyncio.current_task()

    async def outer():
        return await inner(), asyncio.current_task()

    loop = asyncio.get_running_loop()
    first, second = await asyncio.Task(outer(), loop=loop, eager_start=True)
    return f"one task: {yes(first is second)}"


async def its_value():
    await asyncio.sleep(0)
    return "its value"


class OwnCoroutine(Coroutine):
    def __init__(self):
        self.inner = its_value()

    def send(self, value):
        return self.inner.send(value)

    def throw(self, *args):
        return self.inner.throw(*args)

    def __await__(self):
        return self.inner.__await__()


class OwnAwaitable:
    def __await__(self):
        return its_value().__await__()


async def task_of_own_class(task):
    await settle()
    return f"done: {yes(task.done())}, then {await task}"


async def create_task_of_own():
    return await task_of_own_class(asyncio.create_task(OwnCoroutine()))


async def ensure_future_of_own():
    return await task_of_own_class(asyncio.ensure_future(OwnAwaitable()))


async def numbers():
    names = [asyncio.create_task(its_value()).get_name() for _ in range(2)]
    assert all(name.startswith("Task-") for name in names)
    return f"each has its own: {yes(names[0] != names[1])}"


async def recursive_groups():
    seen = set()

    async def tree(depth):
        seen.add(asyncio.current_task())
        async with asyncio.TaskGroup() as children:
            for _ in range(2 if depth else 0):
                children.create_task(tree(depth - 1))

    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    await tree(2)
    loop.set_task_factory(None)
    return f"7 calls, {len(seen)} tasks"


async def refused_is_closed():
    async with asyncio.TaskGroup() as group:
        pass
    call = its_value()
    try:
        group.create_task(call)
    except RuntimeError:
        pass
    closed = inspect.getcoroutinestate(call) == inspect.CORO_CLOSED
    return f"closed: {yes(closed)}"


async def default_at_an_error():
    async def items():
        raise LookupError("the error")
        yield

    try:
        return await anext(items(), "the default")
    except LookupError as error:
        return f"raises {error}"


# Cancel.


async def wait_for(future):
    return await future


async def cancel_reaches(nested):
    future = asyncio.get_running_loop().create_future()
    waiting = wait_for(wait_for(future)) if nested else wait_for(future)
    task = asyncio.create_task(waiting)
    await settle()
    task.cancel()
    await asyncio.wait([task])
    told = f"the task is cancelled: {yes(task.cancelled())}"
    return f"{told}, its future: {yes(future.cancelled())}"


async def cancelled_with_its_future():
    future = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(wait_for(future))
    await settle()
    future.cancel()
    task.cancel()
    await asyncio.wait([task])
    return f"the task is cancelled: {yes(task.cancelled())}"


async def cancelled_sleep():
    loop = asyncio.get_running_loop()

    def timers():
        far = [it for it in loop._scheduled if it.when() > loop.time() + 1000]
        return [it for it in far if not it.cancelled()]

    task = asyncio.create_task(asyncio.sleep(3600))
    await settle()
    before = timers()
    due = round(before[0].when() - loop.time())
    task.cancel()
    await settle()
    return f"{len(before)} timer, due in {due} s, then {len(timers())}"


async def logged():
    async def fail():
        raise LookupError("a bug")

    loop, log = asyncio.get_running_loop(), []
    note = lambda _, context: log.append(str(context["exception"]))
    loop.set_exception_handler(note)
    failing = asyncio.create_task(fail())
    sleeping = asyncio.create_task(asyncio.sleep(0.1))
    await settle()
    sleeping.cancel()
    await settle()
    del failing, sleeping
    gc.collect()
    loop.set_exception_handler(None)
    return f"[{', '.join(log)}]"


# Context.


async def own_changes():
    async def inner():
        NAME.set("inner")
        asyncio.get_running_loop().call_soon(NAME.set, "the callback's")
        await settle()
        return NAME.get()

    NAME.set("outer")
    told = await asyncio.create_task(inner())
    return f"the task reads {told}, its creator {NAME.get()}"


async def hundred():
    async def own(number):
        NAME.set(number)
        await asyncio.sleep(0.01)
        return NAME.get() == number

    tasks = [asyncio.create_task(own(number)) for number in range(100)]
    return f"{sum(await asyncio.gather(*tasks))} of 100 read their own"


# Shield, gather and as_completed.


async def value(name, time=0):
    await asyncio.sleep(time)
    return name


async def shield_passes():
    async def fail():
        raise LookupError("an error")

    done = asyncio.create_task(value("that of a finished task"))
    await settle()
    told = [await asyncio.shield(value("a value"))]
    try:
        await asyncio.shield(fail())
    except LookupError as error:
        told.append(str(error))
    return ", ".join([*told, await asyncio.shield(done)])


async def gather_is_done():
    gathered = asyncio.gather(value("a", 0.001), value("b", 0.001))
    await settle()
    gathered.cancel()
    return ", ".join(await gathered)


async def gather_all_cancelled():
    async def gather():
        await asyncio.gather(value("a", 0.1), value("b", 0.1), return_exceptions=True)

    gathered = asyncio.create_task(gather())
    await settle()
    gathered.cancel()
    await asyncio.wait([gathered])
    return f"cancelled: {yes(gathered.cancelled())}"


async def cancelled_in_the_list():
    children = [asyncio.create_task(value(name, 0.1)) for name in ["a value", ""]]
    await settle()
    children[1].cancel()
    outcomes = await asyncio.gather(*children, return_exceptions=True)
    return ", ".join(
        "a cancellation" if isinstance(it, asyncio.CancelledError) else it
        for it in outcomes
    )


async def resumed():
    calls = [value("a", 0.01), value("b", 0.02), value("c", 0.03)]
    completed, told = asyncio.as_completed(calls), []
    for done in completed:
        told.append(await done)
        break
    told.append("then")
    for done in completed:
        told.append(await done)
    return " ".join(told)


# Events, conditions and semaphores.


async def event_cancelled():
    event = asyncio.Event()
    waiting = asyncio.create_task(event.wait())
    await settle()
    before = len(event._waiters)
    waiting.cancel()
    await settle()
    return f"{before} waits, then {len(event._waiters)}"


async def predicate_is_true():
    condition, turns = asyncio.Condition(), []
    asyncio.get_running_loop().call_soon(turns.append, "another's turn")
    async with condition:
        await condition.wait_for(lambda: True)
    return f"without a wait: {yes(not turns)}"


async def notify_all():
    condition, log = asyncio.Condition(), []

    async def waiting(name):
        async with condition:
            await condition.wait()
        log.append(name)

    tasks = [asyncio.create_task(waiting("woken")) for _ in range(2)]
    await settle()
    async with condition:
        condition.notify_all()
    await settle()
    tasks.append(asyncio.create_task(waiting("a later one")))
    await settle()
    tasks[2].cancel()
    return ", ".join(log)


async def semaphore_cancelled():
    semaphore = asyncio.Semaphore(1)
    await semaphore.acquire()
    waiting = asyncio.create_task(semaphore.acquire())
    await settle()
    waiting.cancel()
    await settle()
    semaphore.release()
    return f"{semaphore._value} is free"


async def semaphore_locked():
    semaphore = asyncio.Semaphore(2)
    told = []
    for text in ["with one", "with two"]:
        await semaphore.acquire()
        told.append(f"{yes(semaphore.locked())} {text}")
    semaphore.release()
    return ", ".join([*told, f"{yes(semaphore.locked())} after the release"])


def probes():
    yield "coroutine.returns-a-future", returns_a_future()
    yield "eager.awaits.one-task", one_task()
    yield "create_task.takes-coroutine", create_task_of_own()
    yield "ensure_future.makes-task", ensure_future_of_own()
    yield "task.get_name.numbered", numbers()
    yield "eager.task_group.task-each", recursive_groups()
    yield "task_group.create_task.refused-is-closed", refused_is_closed()
    yield "anext.default.not-for-errors", default_at_an_error()
    yield "task.cancel.its-future", cancel_reaches(False)
    yield "task.cancel.through-awaits", cancel_reaches(True)
    yield "task.cancel.with-its-future", cancelled_with_its_future()
    yield "sleep.cancel.removes-timer", cancelled_sleep()
    yield "task.cancelled.not-logged", logged()
    yield "context.task.own-changes", own_changes()
    yield "context.task.hundred", hundred()
    yield "shield.outcome.passes", shield_passes()
    yield "gather.cancel.done-children", gather_is_done()
    yield "gather.cancel.return_exceptions", gather_all_cancelled()
    yield "gather.return_exceptions.cancelled", cancelled_in_the_list()
    yield "as_completed.break.resumed", resumed()
    yield "event.wait.cancelled-leaves-no-trace", event_cancelled()
    yield "condition.wait_for.true-returns", predicate_is_true()
    yield "condition.notify_all.wakes-who-wait@watch", notify_all()
    yield "semaphore.acquire.cancelled-leaves-no-trace", semaphore_cancelled()
    yield "semaphore.locked.follows", semaphore_locked()


run(probes, 5)
