import asyncio
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import run, settle, yes


def told(log):
    return ", ".join(log)


async def work(log, name, time):
    await asyncio.sleep(time)
    log.append(name)


async def fail(time):
    await asyncio.sleep(time)
    raise LookupError("the first error")


async def errors(body):
    """Runs a body with a group in it, and returns its errors with plus signs."""
    try:
        await body
        return "none"
    except ExceptionGroup as group:
        return " + ".join(map(str, group.exceptions))


async def waits_at_its_end():
    log = []
    async with asyncio.TaskGroup() as group:
        group.create_task(work(log, "the child is done", 0.05))
        log.append("the body is done")
    log.append("behind the group")
    return told(log)


async def waits_after_return():
    async def handler():
        async with asyncio.TaskGroup() as group:
            group.create_task(work(log, "the record is written", 0.05))
            return "the answer"

    log = []
    await handler()
    return f"[{told(log)}]"


async def results():
    async def body(value):
        return value

    async with asyncio.TaskGroup() as group:
        first, second = group.create_task(body(1)), group.create_task(body(2))
    return str(first.result() + second.result())


async def created_late():
    log = []
    async with asyncio.TaskGroup() as group:
        await settle()
        group.create_task(work(log, "the child is done", 0.02))
    return told(log)


async def created_by_a_child():
    async def child(group):
        group.create_task(work(log, "the grandchild is done", 0.02))

    log = []
    async with asyncio.TaskGroup() as group:
        group.create_task(child(group))
    return told(log)


# Errors.


async def error_of_a_child():
    async def body():
        async with asyncio.TaskGroup() as group:
            group.create_task(work(log, "the sibling goes on", 0.1))
            group.create_task(fail(0.02))
            await asyncio.sleep(0.2)
            log.append("the body goes on")

    log = []
    return f"{await errors(body())}; [{told(log)}]"


async def error_of_the_body():
    async def body():
        async with asyncio.TaskGroup() as group:
            group.create_task(work(log, "the child goes on", 0.1))
            await settle()
            raise LookupError("the body's error")

    log = []
    return f"{await errors(body())}; [{told(log)}]"


async def three_errors():
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(fail(0.02))
    except ExceptionGroup as error:
        return f"of three errors at the same moment, {len(error.exceptions)}"


async def error_behind_a_value():
    async def body():
        async with asyncio.TaskGroup() as group:
            group.create_task(fail(0.05))
            return "the value of the body"

    return await errors(body())


async def inner_group_fails():
    async def body():
        async with asyncio.TaskGroup() as outer:
            outer.create_task(work(log, "the outer child goes on", 0.1))
            try:
                async with asyncio.TaskGroup() as inner:
                    inner.create_task(fail(0.02))
                    await asyncio.sleep(0.2)
            except ExceptionGroup as group:
                raise group.exceptions[0] from None
            log.append("behind the inner group")

    log = []
    return f"{await errors(body())}; [{told(log)}]"


async def outer_child_fails():
    async def body():
        async with asyncio.TaskGroup() as outer:
            outer.create_task(fail(0.02))
            async with asyncio.TaskGroup() as inner:
                inner.create_task(work(log, "the inner child goes on", 0.1))

    log = []
    return f"{await errors(body())}; [{told(log)}]"


async def caught_inside():
    async def body():
        async with asyncio.TaskGroup() as outer:
            outer.create_task(work(log, "the outer child goes on", 0.05))
            try:
                async with asyncio.TaskGroup() as inner:
                    inner.create_task(fail(0.02))
            except ExceptionGroup:
                log.append("caught")

    log = []
    return f"{await errors(body())}; {told(log)}"


async def child_is_cancelled():
    async def body():
        async with asyncio.TaskGroup() as group:
            child = group.create_task(work(log, "the child goes on", 0.05))
            group.create_task(work(log, "the sibling goes on", 0.1))
            child.cancel()

    log = []
    return f"{await errors(body())}; {told(log)}"


async def children_without_end():
    async def child(group):
        nonlocal count
        await settle()
        count += 1
        if count == 20:
            raise LookupError("enough")
        group.create_task(child(group))

    async def body():
        async with asyncio.TaskGroup() as group:
            group.create_task(child(group))

    count = 0
    return f"{await errors(body())} after {count}"


async def created_beside_a_failure():
    async def child(group):
        group.create_task(fail(0.02))
        await asyncio.sleep(0.01)
        late = work(log, "the late task goes on behind its await", 0.05)
        group.create_task(late)

    async def body():
        async with asyncio.TaskGroup() as group:
            group.create_task(child(group))

    log = []
    return f"{await errors(body())}; [{told(log)}]"


# Cancel.


async def cancelled_from_outside():
    async def parent():
        async with asyncio.TaskGroup() as group:
            group.create_task(work(log, "the child goes on", 0.1))

    log = []
    task = asyncio.create_task(parent())
    await settle()
    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(0.2)
    return f"cancelled: {yes(task.cancelled())}; [{told(log)}]"


async def failed_and_then_used():
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail(0.01))
    except ExceptionGroup:
        await asyncio.sleep(0.01)
        return "the caller goes on"


# Too late, or too early.


async def created_after_the_end():
    async with asyncio.TaskGroup() as group:
        pass
    call = asyncio.sleep(0, "ran")
    try:
        return await group.create_task(call)
    except RuntimeError:
        call.close()
        return "refused"


async def created_while_stopping():
    async def child(group):
        try:
            await asyncio.sleep(0.5)
        finally:
            late = work(log, "ran", 0.001)
            try:
                group.create_task(late)
                log.append("not refused")
            except RuntimeError:
                log.append("refused")
                late.close()

    log = []
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(child(group))
            group.create_task(fail(0.02))
    except ExceptionGroup:
        return f"[{told(log)}]"


async def finished_are_kept():
    async with asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(asyncio.sleep(0))
        await settle()
        return f"{len(group._tasks)} finished tasks are kept"


def probes():
    for counterpart in ["", "@JoinSet"]:
        yield f"task_group.end.waits-for-children{counterpart}", waits_at_its_end()
    for counterpart in ["", "@JoinSet"]:
        yield f"task_group.return.waits-for-children{counterpart}", waits_after_return()
    yield "task_group.create_task.result", results()
    yield "task_group.create_task.after-an-await", created_late()
    yield "task_group.create_task.by-a-child", created_by_a_child()
    for counterpart in ["", "@JoinSet", "@join_group"]:
        clause = f"task_group.error.cancels-siblings-and-body{counterpart}"
        yield clause, error_of_a_child()
    yield "task_group.error.of-the-body", error_of_the_body()
    yield "task_group.error.all-of-a-moment", three_errors()
    yield "task_group.error.behind-the-body", error_behind_a_value()
    yield "task_group.nested.outer-child-fails", outer_child_fails()
    yield "task_group.nested.inner-fails", inner_group_fails()
    yield "task_group.nested.caught-between", caught_inside()
    facts = ["JoinSet", "run_all", "join_or_shut_down"]
    for fact in ["by-its-handle", *(f"others-go-on@{it}" for it in facts)]:
        yield f"task_group.child-cancelled.{fact}", child_is_cancelled()
    yield "task_group.create_task.without-end", children_without_end()
    yield "task_group.create_task.of-a-failed-grandchild", created_beside_a_failure()
    yield "task_group.cancel.cancels-children", cancelled_from_outside()
    yield "task_group.error.caller-not-cancelled", failed_and_then_used()
    yield "task_group.create_task.after-end-refused", created_after_the_end()
    yield "task_group.create_task.while-stopping-refused", created_while_stopping()
    yield "task_group.create_task.finished-forgotten@JoinSet", finished_are_kept()


run(probes, 20)
