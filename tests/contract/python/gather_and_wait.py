import asyncio
import gc
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import now, run, settle, yes


def told(log):
    return ", ".join(log)


async def work(log, name, time):
    await asyncio.sleep(time)
    log.append(name)
    return name


async def fail(time):
    await asyncio.sleep(time)
    raise LookupError("the first error")


# Gather.


async def in_order():
    works = [("a", 0.03), ("b", 0.01), ("c", 0.02)]
    return " ".join(await asyncio.gather(*(work([], *it) for it in works)))


async def empty():
    return f"a list of {len(await asyncio.gather())}"


async def first_error():
    log, start = [], now()
    try:
        await asyncio.gather(work(log, "the other goes on", 0.1), fail(0.02))
    except LookupError as error:
        early = yes(now() - start < 0.1)
        await asyncio.sleep(0.2)
        return f"{error}, early: {early}; [{told(log)}]"


async def error_among_many():
    start = now()
    calls = [asyncio.create_task(asyncio.sleep(0.5)) for _ in range(39)]
    try:
        await asyncio.gather(*calls, fail(0.02))
    except LookupError:
        return f"early: {yes(now() - start < 0.1)}"


async def bug_in_the_list():
    async def call(number):
        await asyncio.sleep(0.02)
        assert number != 0, "a bug in one call"
        await asyncio.sleep(0.02)
        log.append("the other has its value")

    log = []
    outcomes = await asyncio.gather(call(0), call(1), return_exceptions=True)
    return f"{len(outcomes)} outcomes; {told(log)}"


async def gather_cancelled(as_tasks):
    async def wait():
        await asyncio.gather(*calls)

    log = []
    calls = [work(log, name, 0.1) for name in ["a", "b"]]
    if as_tasks:
        calls = [asyncio.create_task(call) for call in calls]
    waiting = asyncio.create_task(wait())
    await settle()
    waiting.cancel()
    await asyncio.sleep(0.2)
    return f"[{told(log)}] went on"


async def cancelled_child():
    log = []
    first = asyncio.create_task(work(log, "a", 0.05))
    second = asyncio.create_task(work(log, "the other goes on", 0.1))
    first.cancel()
    try:
        await asyncio.gather(first, second)
        cancelled = False
    except asyncio.CancelledError:
        cancelled = True
    await second
    return f"cancelled: {yes(cancelled)}; {told(log)}"


async def shielded_gather_cancelled(each):
    async def wait():
        calls = [work(log, name, 0.05) for name in ["a", "b"]]
        if each:
            await asyncio.gather(*map(asyncio.shield, calls))
        else:
            await asyncio.shield(asyncio.gather(*calls))

    log = []
    waiting = asyncio.create_task(wait())
    await settle()
    waiting.cancel()
    await asyncio.sleep(0.1)
    return f"[{told(log)}] went on"


async def second_error():
    logged, loop = [], asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: logged.append("an error"))
    try:
        await asyncio.gather(fail(0.02), fail(0.05))
    except LookupError as error:
        await asyncio.sleep(0.1)
        gc.collect()
        loop.set_exception_handler(None)
        return f"{error}; the handler sees [{told(logged)}]"


# Wait.


async def wait_again():
    tasks = [asyncio.create_task(work([], "a", 0.05))]
    try:
        await asyncio.wait_for(asyncio.wait(tasks), 0.02)
        first = True
    except TimeoutError:
        first = False
    done, _ = await asyncio.wait(tasks)
    return f"in time: {yes(first)}; then done: {yes(done)}"


async def until_an_error_that_is_a_cancel():
    log = []
    works = [("a", 0.05), ("b", 0.1)]
    tasks = [asyncio.create_task(work(log, *it)) for it in works]
    tasks[0].cancel()
    _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    return f"failed: false, {len(pending)} pending; {told(log)}"


async def wait_for_none():
    try:
        await asyncio.wait([])
        return "returns"
    except ValueError:
        return "refused"


async def two_are_done():
    times = [0.02, 0.02, 0.5]
    tasks = [asyncio.create_task(asyncio.sleep(time)) for time in times]
    await asyncio.sleep(0.05)
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    pending.pop().cancel()
    return f"{len(done)} of 2 results are there"


async def others_after_the_first():
    log = []
    works = [("a", 0.02), ("b goes on", 0.05)]
    tasks = [asyncio.create_task(work(log, *it)) for it in works]
    _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.sleep(0.1)
    return f"{len(pending)} is pending; {told(log)}"


async def until_an_error():
    calls = [work([], "a", 0.02), fail(0.05), work([], "c", 0.1)]
    tasks = [asyncio.create_task(call) for call in calls]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    failed = yes(tasks[1].exception())
    values = len(done) - 1
    pending.pop().cancel()
    return f"failed: {failed}, {values} done, 1 pending"


async def wait_until_a_timeout():
    log = []
    works = [("a", 0.02), ("b goes on", 0.1)]
    tasks = [asyncio.create_task(work(log, *it)) for it in works]
    done, pending = await asyncio.wait(tasks, timeout=0.05)
    await asyncio.sleep(0.1)
    return f"{len(done)} done, {len(pending)} pending; {told(log)}"


async def wait_zero():
    tasks = [asyncio.create_task(asyncio.sleep(time)) for time in [0, 0.1]]
    await settle()
    done, pending = await asyncio.wait(tasks, timeout=0)
    return f"{len(done)} done, {len(pending)} pending"


async def wait_cancelled():
    log = []
    task = asyncio.create_task(work(log, "the task goes on", 0.1))
    waiting = asyncio.create_task(asyncio.wait([task]))
    await settle()
    waiting.cancel()
    await asyncio.sleep(0.2)
    return f"[{told(log)}]"


# As they are completed.


async def order_of_completion():
    works = [("a", 0.03), ("b", 0.01), ("c", 0.02)]
    works = asyncio.as_completed([work([], *it) for it in works])
    return " ".join([await name for name in works])


async def completed_in_time():
    log, count = [], 0
    works = [work(log, "a", 0.02), work(log, "b goes on", 0.1)]
    try:
        for call in asyncio.as_completed(works, timeout=0.05):
            await call
            count += 1
    except TimeoutError:
        await asyncio.sleep(0.1)
        return f"{count} in time; {told(log)}"


async def left_early():
    log = []
    works = [work(log, "a", 0.02), work(log, "the other goes on", 0.05)]
    for call in asyncio.as_completed(works):
        await call
        break
    await asyncio.sleep(0.1)
    return told(log)


def probes():
    yield "gather.order.of-arguments@join_all", in_order()
    yield "gather.empty.returns-list@join_all", empty()
    for counterpart in ["gather", "try_join"]:
        yield f"gather.error.others-go-on@{counterpart}", first_error()
    for counterpart in ["try_gather", "try_join_all"]:
        yield f"gather.error.comes-immediately@{counterpart}", error_among_many()
    for counterpart in ["gather_all", "join_all"]:
        yield f"gather.return_exceptions.bug@{counterpart}", bug_in_the_list()
    for counterpart in ["join_all", "gather", "handles"]:
        cancelled = gather_cancelled(counterpart == "handles")
        yield f"gather.cancel.cancels-all@{counterpart}", cancelled
    yield "gather.child-cancelled.others-go-on@handles", cancelled_child()
    yield "gather.error.second-not-logged", second_error()
    yield "shield.gather.children-run", shielded_gather_cancelled(False)
    yield "gather.shields.inner-run", shielded_gather_cancelled(True)
    for counterpart in ["JoinSet", "select_all"]:
        yield f"wait.empty.refused@{counterpart}", wait_for_none()
    for counterpart in ["first_completed", "join_next"]:
        yield f"wait.first_completed.all-done@{counterpart}", two_are_done()
    yield "wait.first_completed.others-go-on@join_next", others_after_the_first()
    yield "wait.first_exception.ends@first_exception", until_an_error()
    clause = "wait.first_exception.cancelled-does-not-count"
    yield clause, until_an_error_that_is_a_cancel()
    yield "wait.cancel.repeated", wait_again()
    yield "wait.timeout.others-go-on@wait", wait_until_a_timeout()
    yield "wait.timeout.zero-takes-done@wait", wait_zero()
    for counterpart in ["handles", "JoinSet"]:
        yield f"wait.cancel.tasks-go-on@{counterpart}", wait_cancelled()
    yield "as_completed.order.of-completion@join_next", order_of_completion()
    yield "as_completed.timeout.in-time@timeout_at", completed_in_time()
    for counterpart in ["JoinSet", "detach_all"]:
        yield f"as_completed.break.others-go-on@{counterpart}", left_early()


run(probes, 20)
