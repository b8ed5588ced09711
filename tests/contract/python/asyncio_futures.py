import asyncio
import sys
from asyncio import InvalidStateError
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import run, settle, yes


def new_future():
    return asyncio.get_running_loop().create_future()


def refused(function, *args):
    try:
        function(*args)
        return "false"
    except InvalidStateError:
        return "true"


async def wait(future):
    return await future


async def result_before():
    return f"refused: {refused(new_future().result)}"


async def result_set():
    future = new_future()
    future.set_result(42)
    return str(await future)


async def result_of_an_error():
    future = new_future()
    future.set_exception(LookupError("the error"))
    try:
        await future
    except LookupError as error:
        return str(error)


async def set_twice():
    future = new_future()
    future.set_result(1)
    was_refused = refused(future.set_result, 2)
    return f"refused: {was_refused}, the result is {future.result()}"


async def done():
    future = new_future()
    asyncio.get_running_loop().call_later(0.02, future.set_result, 42)
    while not future.done():
        await settle()
    return str(await future)


# Cancel.


async def cancel():
    future = new_future()
    waiting = asyncio.create_task(wait(future))
    await settle()
    future.cancel()
    await asyncio.wait([waiting])
    if waiting.cancelled():
        return "the waiter is cancelled"
    return "the waiter gets a value"


async def cancel_then_set():
    future = new_future()
    future.cancel()
    return "refused" if refused(future.set_result, 42) == "true" else "accepted"


async def set_then_cancel():
    future = new_future()
    future.set_result(42)
    future.cancel()
    return f"accepted: true; the result is {future.result()}"


async def producer_sees_cancel():
    future = new_future()
    waiting = asyncio.create_task(wait(future))
    await settle()
    waiting.cancel()
    await asyncio.wait([waiting])
    return f"cancelled: {yes(future.cancelled())}"


# Several waiters.


async def await_twice():
    future = new_future()
    future.set_result(42)
    return f"{await future} and {await future}"


# Callbacks.


def noting(log, name):
    return lambda future: log.append(f"{name} {future.result()}")


async def callbacks():
    future, log = new_future(), []
    for name in ["a", "b", "c"]:
        future.add_done_callback(noting(log, name))
    future.set_result(42)
    await settle()
    return ", ".join(log)


async def callback_removed():
    future, log = new_future(), []
    notes = [noting(log, name) for name in ["a", "b", "c"]]
    for note in notes:
        future.add_done_callback(note)
    future.remove_done_callback(notes[1])
    future.set_result(42)
    await settle()
    return ", ".join(log)


async def callback_when_done():
    future, log = new_future(), []
    future.set_result(42)
    future.add_done_callback(noting(log, "called with"))
    await settle()
    return ", ".join(log)


async def callback_that_fails():
    def fail(_):
        raise LookupError("a bug")

    future, log = new_future(), []
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    future.add_done_callback(fail)
    future.add_done_callback(lambda _: log.append("the other is called"))
    future.set_result(42)
    await settle()
    return ", ".join(log)


def probes():
    yield "future.result.refused-before@try_recv", result_before()
    for counterpart in ["oneshot", "SetOnce"]:
        yield f"future.result.is-what-was-set@{counterpart}", result_set()
    yield "future.exception.comes-to-waiter@oneshot", result_of_an_error()
    yield "future.set_result.twice-refused@SetOnce", set_twice()
    for counterpart in ["try_recv", "is_empty", "SetOnce"]:
        yield f"future.done.looks-only@{counterpart}", done()
    for counterpart in ["oneshot", "SetOnce", "watch"]:
        yield f"future.cancel.cancels-waiter@{counterpart}", cancel()
    yield "future.cancel.set-refused@oneshot", cancel_then_set()
    yield "future.cancel.keeps-a-result@oneshot", set_then_cancel()
    yield "future.cancel.producer-sees-it@oneshot", producer_sees_cancel()
    for counterpart in ["oneshot", "SetOnce", "Shared"]:
        yield f"future.await.twice@{counterpart}", await_twice()
    yield "future.add_done_callback.order@SetOnce", callbacks()
    yield "future.remove_done_callback.removed@SetOnce", callback_removed()
    yield "future.add_done_callback.when-done@SetOnce", callback_when_done()
    yield "future.add_done_callback.error@SetOnce", callback_that_fails()


run(probes, 5)
