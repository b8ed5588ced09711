import asyncio
import sys
from contextlib import suppress
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import now, run, settle, yes


async def expired(limit, body):
    """Tells whether the timeout around the body expired."""
    with suppress(TimeoutError):
        async with asyncio.timeout(limit) as deadline:
            await body
    return yes(deadline.expired())


async def expired_at(moment, body):
    with suppress(TimeoutError):
        async with asyncio.timeout_at(moment) as deadline:
            await body
    return yes(deadline.expired())


async def expires():
    start = now()
    told = await expired(0.1, asyncio.sleep(0.5))
    return f"expired: {told}, after {int((now() - start) * 10) / 10} s"


async def expires_at():
    start = now()
    told = await expired_at(start + 0.1, asyncio.sleep(0.5))
    return f"expired: {told}, after {int((now() - start) * 10) / 10} s"


async def in_time():
    return f"expired: {await expired(0.5, asyncio.sleep(0.1))}"


async def no_limit():
    return f"expired: {await expired(None, asyncio.sleep(0.2))}"


async def body_is_cancelled():
    log = []

    async def body():
        try:
            await asyncio.sleep(0.5)
            log.append("went on")
        finally:
            log.append("cleaned up")

    await expired(0.1, body())
    log.append("timed out")
    return ", ".join(log)


async def nested_same_end():
    log, end = [], now() + 0.1
    try:
        async with asyncio.timeout_at(end):
            try:
                async with asyncio.timeout_at(end):
                    await asyncio.sleep(0.5)
            except TimeoutError:
                log.append("the inner times out")
            log.append("the code between goes on")
    except TimeoutError:
        log.append("the outer times out")
    return ", ".join(log)


async def nested_retry(end, limit):
    calls = 0
    with suppress(TimeoutError):
        async with asyncio.timeout_at(end):
            while calls < 1000:
                calls += 1
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(min(end, now() + limit)):
                        await asyncio.sleep(0.5)
    told = "over 100" if calls > 100 else calls
    return f"calls until the outer ends it: {told}"


async def zero_sleep():
    return f"expired: {await expired(0, asyncio.sleep(0.5))}"


async def zero_without_await():
    try:
        async with asyncio.timeout(0):
            return "returns 7"
    except TimeoutError:
        return "timed out"


async def past(body):
    await asyncio.sleep(0.02)
    return f"expired: {await expired_at(now() - 0.01, body)}"


async def negative():
    return f"expired: {await expired(-11, asyncio.sleep(0.5))}"


async def wait_for_negative():
    try:
        await asyncio.wait_for(asyncio.sleep(0.5), -11)
        return "expired: false"
    except TimeoutError:
        return "expired: true"


async def error_passes():
    try:
        async with asyncio.timeout(0.1):
            raise LookupError("the call's own error")
    except LookupError as error:
        return str(error)


async def cause():
    try:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(0.5)
    except TimeoutError as error:
        return f"the cause is {type(error.__cause__).__name__}"


async def failing():
    try:
        await asyncio.sleep(0.5)
    finally:
        raise LookupError("the clean-up failed")


async def error_of_the_cleanup():
    try:
        async with asyncio.timeout(0.01):
            await failing()
        return "returns"
    except TimeoutError:
        return "timed out"
    except LookupError as error:
        return str(error)


async def cancelled_from_outside():
    task = asyncio.create_task(expired(0.5, asyncio.sleep(0.4)))
    await settle()
    task.cancel()
    await asyncio.wait([task])
    return f"cancelled, not timed out: {yes(task.cancelled())}"


async def task_goes_on():
    await expired(0.01, asyncio.sleep(0.5))
    await asyncio.sleep(0.01)
    return "the task goes on"


async def group_whose_cleanup_fails():
    try:
        async with asyncio.timeout(0.05):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(failing())
        return "returns"
    except TimeoutError:
        return "timed out"
    except ExceptionGroup as group:
        return str(group.exceptions[0])


async def value_at_the_same_moment():
    told = await expired(0.1, asyncio.sleep(0.1))
    return "timed out" if told == "true" else "the value wins"


# Reschedule.


async def reschedule():
    async def call():
        nonlocal deadline
        async with asyncio.timeout(0.1) as deadline:
            await asyncio.sleep(0.2)

    deadline = None
    task = asyncio.create_task(call())
    await settle()
    deadline.reschedule(now() + 0.5)
    await task
    return f"expired: {yes(deadline.expired())}"


async def reschedule_none():
    async def call():
        nonlocal deadline
        async with asyncio.timeout(0.1) as deadline:
            await asyncio.sleep(0.5)

    deadline = None
    task = asyncio.create_task(call())
    await settle()
    deadline.reschedule(None)
    await asyncio.sleep(0.2)
    task.cancel()
    await asyncio.wait([task])
    return f"cancelled, not timed out: {yes(task.cancelled())}"


async def reschedule_after_the_end():
    with suppress(TimeoutError):
        async with asyncio.timeout(0.01) as deadline:
            await asyncio.sleep(0.5)
    try:
        deadline.reschedule(now() + 0.1)
        return "moved, and used again"
    except RuntimeError:
        return "refused"


# wait_for.


async def timed_out(limit, awaitable):
    """Tells whether wait_for raised a TimeoutError."""
    try:
        await asyncio.wait_for(awaitable, limit)
        return "false"
    except TimeoutError:
        return "true"


async def zero_done_future():
    future = asyncio.get_running_loop().create_future()
    future.set_result("a")
    return await asyncio.wait_for(future, 0)


async def zero_coroutine():
    log = []

    async def call():
        log.append("started")
        await asyncio.sleep(0.1)

    return f"expired: {await timed_out(0, call())}; [{', '.join(log)}]"


async def working(log):
    try:
        await asyncio.sleep(0.2)
        log.append("the task goes on")
    finally:
        log.append("ended")


async def cancels_the_task(limit):
    log = []
    task = asyncio.create_task(working(log))
    await settle()
    told = await timed_out(limit, task)
    return f"expired: {told}; [{', '.join(log)}]"


async def result_in_time():
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, "a")
    return await asyncio.wait_for(future, 0.1)


async def error_of_a_cancelled_task():
    try:
        await asyncio.wait_for(asyncio.create_task(failing()), 0.05)
    except TimeoutError:
        return "timed out"
    except LookupError as error:
        return str(error)


async def cancelled_wait():
    log = []
    task = asyncio.create_task(working(log))
    waiting = asyncio.create_task(asyncio.wait_for(task, 0.5))
    await settle()
    waiting.cancel()
    await asyncio.sleep(0.3)
    return f"[{', '.join(log)}]"


async def shield(limit):
    async def call():
        await asyncio.sleep(0.1)
        return "a"

    task = asyncio.create_task(call())
    try:
        value = await asyncio.wait_for(asyncio.shield(task), limit)
        return f"expired: false; {value}"
    except TimeoutError:
        return f"expired: true; later {await task}"


def probes():
    for counterpart in ["", "@Sleep"]:
        yield f"timeout.expired.after-limit{counterpart}", expires()
    yield "timeout_at.expired.after-moment", expires_at()
    yield "timeout.expired.false-in-time", in_time()
    yield "timeout.none.no-limit", no_limit()
    yield "timeout.body.cancelled-first", body_is_cancelled()
    yield "timeout.nested.same-end-outer-tells", nested_same_end()
    yield "timeout.nested.retry-ends", nested_retry(now() + 0.1, 1)
    yield "timeout.nested.retry-ends@Deadline", nested_retry(now() + 0.1, 0.03)
    yield "timeout.zero.sleep-times-out", zero_sleep()
    yield "timeout.zero.value-without-await", zero_without_await()
    yield "timeout_at.past.sleep-times-out", past(asyncio.sleep(0.5))
    yield "timeout_at.past.turn-times-out", past(asyncio.sleep(0))
    yield "timeout.negative.is-past", negative()
    yield "timeout.error.passes", error_passes()
    yield "timeout.error.has-cause", cause()
    yield "timeout.cleanup.error-replaces", error_of_the_cleanup()
    yield "timeout.cancel.is-no-timeout", cancelled_from_outside()
    yield "timeout.task.goes-on", task_goes_on()
    yield "timeout.group.cleanup-error-replaces", group_whose_cleanup_fails()
    yield "timeout.value.same-moment", value_at_the_same_moment()
    yield "timeout.reschedule.moves@Deadline", reschedule()
    yield "timeout.reschedule.none-ends-limit@Deadline", reschedule_none()
    again = reschedule_after_the_end()
    yield "timeout.reschedule.refused-after-end@Deadline", again
    yield "wait_for.zero.done-future-returns", zero_done_future()
    for counterpart in ["", "@Deadline"]:
        yield f"wait_for.zero.coroutine-never-starts{counterpart}", zero_coroutine()
    yield "wait_for.zero.task-cancelled@join_or_stop", cancels_the_task(0)
    for counterpart in ["", "@join_or_stop"]:
        yield f"wait_for.limit.task-cancelled{counterpart}", cancels_the_task(0.1)
    yield "wait_for.negative.is-past", wait_for_negative()
    yield "wait_for.none.no-limit", no_limit()
    yield "wait_for.result.in-time", result_in_time()
    error = error_of_a_cancelled_task()
    yield "wait_for.cleanup.error-replaces@join_or_stop", error
    for counterpart in ["", "@join_or_stop"]:
        yield f"wait_for.cancel.task-cancelled{counterpart}", cancelled_wait()
    yield "wait_for.shield.zero", shield(0)
    yield "wait_for.shield.none", shield(None)
    yield "wait_for.shield.task-survives", shield(0.05)


run(probes, 10)
