import asyncio
import contextlib
import socket
import sys
import traceback
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import run, settle, yes


async def cancelled(body):
    """Cancels a task, and returns what it noted and whether it counts as cancelled."""
    log = []
    task = asyncio.create_task(body(log))
    await settle()
    task.cancel()
    await asyncio.wait([task])
    log.append(f"cancelled: {yes(task.cancelled())}")
    return ", ".join(log)


# Locks.


async def wait_returns():
    event = asyncio.Event()
    event.set()
    return f"returns {await event.wait()}"


async def cancelled_waiter():
    async def wait():
        async with condition:
            try:
                await condition.wait()
            finally:
                held.append(condition.locked())

    condition, held = asyncio.Condition(), []
    waiter = asyncio.create_task(wait())
    await settle()
    async with condition:
        condition.notify()
        await settle()
        waiter.cancel()
    await asyncio.wait([waiter])
    return f"ends with the lock held: {yes(held == [True])}"


async def wait_without_lock():
    try:
        await asyncio.Condition().wait()
    except RuntimeError as error:
        return str(error)


async def held_over_await():
    async def hold():
        async with condition:
            await settle()

    condition = asyncio.Condition()
    task = asyncio.create_task(hold())
    await asyncio.sleep(0)
    held = condition.locked()
    await task
    return f"held while it awaits: {yes(held)}"


async def releases_and_acquires():
    async def wait():
        async with semaphore:
            log.append("the waiter")

    semaphore, log = asyncio.Semaphore(0), []
    waiter = asyncio.create_task(wait())
    await settle()
    semaphore.release()
    semaphore.release()
    await semaphore.acquire()
    log.append("the releaser")
    await waiter
    return ", ".join(log)


async def half_left(end):
    """The second party passes, and ends the barrier before the first one has left."""
    barrier = asyncio.Barrier(2)
    first = asyncio.create_task(barrier.wait())
    await settle()
    await barrier.wait()
    await end(barrier)
    await asyncio.wait([first])
    return f"the first passes: {yes(not first.exception())}"


# Groups.


async def fail(time, error=LookupError("the child's error")):
    await asyncio.sleep(time)
    raise error


async def errors(group):
    try:
        await group
        return "none"
    except BaseExceptionGroup as errors:
        return " + ".join(str(error) for error in errors.exceptions)


async def child_fails_in_the_clean_up():
    async def body():
        async with asyncio.TaskGroup() as group:
            group.create_task(fail(0.03))
            try:
                await asyncio.sleep(100)
            finally:
                await asyncio.sleep(0.05)

    task = asyncio.create_task(body())
    await settle()
    task.cancel()
    return await errors(task)


async def child_and_clean_up_fail():
    async with asyncio.TaskGroup() as group:
        group.create_task(fail(0.01))
        try:
            await asyncio.sleep(100)
        finally:
            raise ValueError("the clean-up's error")


async def child_and_manager_fail():
    @contextlib.asynccontextmanager
    async def manager():
        try:
            yield
        finally:
            raise ValueError("the manager's error")

    async with asyncio.TaskGroup() as group:
        group.create_task(fail(0.01))
        async with manager():
            await asyncio.sleep(100)


class Other(BaseException):
    pass


async def child_and_other():
    async with asyncio.TaskGroup() as group:
        group.create_task(fail(0.01))
        group.create_task(fail(0.01, Other("no Exception")))


async def interrupt_wins():
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail(0))
            await asyncio.sleep(0)
            raise KeyboardInterrupt("the interrupt")
    except KeyboardInterrupt as error:
        return f"raises {error}"


async def created_before():
    coroutine = fail(0)
    try:
        asyncio.TaskGroup().create_task(coroutine)
    except RuntimeError:
        return "refused"
    finally:
        coroutine.close()


async def group_is_ended():
    """By an error that is caught, as the documentation has it until there is `cancel`."""
    log = []

    class Ends(Exception):
        pass

    async def end():
        raise Ends

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(end())
            try:
                await settle()
                log.append("the body goes on")
            finally:
                later = fail(0)
                try:
                    group.create_task(later)
                except RuntimeError:
                    log.append("a later task is refused")
                later.close()
    except* Ends:
        log.append("ended")
    return ", ".join(log)


async def raises_otherwise():
    async def body():
        async with asyncio.TaskGroup():
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                raise ValueError("another error") from None

    task = asyncio.create_task(body())
    await settle()
    task.cancel()
    return await errors(task)


async def catches(log):
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(100)
    log.append("goes on")


async def catches_and_times_out(log):
    await catches(log)
    try:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(100)
    except TimeoutError:
        log.append("times out")


async def cleans_up_within_a_limit(log):
    try:
        await asyncio.sleep(100)
    finally:
        log.append("the clean-up begins")
        async with asyncio.timeout(1):
            await asyncio.sleep(0.02)
        log.append("the clean-up ends")


async def ignores_its_limit():
    log = []

    async def work():
        await catches(log)
        await asyncio.sleep(0.05)
        return "a value"

    return f"{await asyncio.wait_for(work(), 0.01)}; {', '.join(log)}"


# What an error tells.


async def made_of_another():
    async def body():
        try:
            int("x")
        except ValueError:
            raise LookupError("the second")

    return await cause(asyncio.create_task(body()))


async def made_of_a_cancel():
    async def body():
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            raise LookupError("stopped")

    task = asyncio.create_task(body())
    await settle()
    task.cancel()
    return await cause(task)


async def cause(task):
    await asyncio.wait([task])
    return f"its cause: {type(task.exception().__context__).__name__}"


async def work(log):
    await asyncio.sleep(100)


async def names_work(awaitable):
    try:
        await awaitable
    except BaseException as error:
        names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        return f"names the function: {yes('work' in names or 'fail' in names)}"


async def trace_of_error():
    return await names_work(asyncio.create_task(fail(0, LookupError())))


async def trace_of_manager():
    @contextlib.asynccontextmanager
    async def manager():
        yield

    async def body():
        async with manager():
            await fail(0, LookupError())

    return await names_work(body())


async def trace_of_cancel():
    task = asyncio.create_task(work([]))
    await settle()
    task.cancel()
    return await names_work(task)


async def stack_of_task():
    task = asyncio.create_task(work([]))
    await settle()
    names = [frame.f_code.co_name for frame in task.get_stack()]
    task.cancel()
    return f"names the function: {yes('work' in names)}"


# Time.


async def wait_to_the_moment():
    task = asyncio.create_task(asyncio.sleep(0.05))
    done, _ = await asyncio.wait([task], timeout=0.05)
    task.cancel()
    return f"{len(done)} done"


async def cancelled_handle():
    loop = asyncio.get_running_loop()
    handle, called = loop.call_soon(print), loop.call_soon(yes, True)
    handle.cancel()
    await settle()
    return f"cancelled: {yes(handle.cancelled())}, called: {yes(called.cancelled())}"


# Futures and components.


async def tasks_of_a_gather():
    async def child():
        return asyncio.current_task()

    tasks = await asyncio.gather(child(), child(), child())
    others = set(tasks) - {asyncio.current_task()}
    return f"{len(others)} of 3 children are tasks"


async def driven_by_hand():
    async def body():
        try:
            await asyncio.sleep(0)
        except LookupError:
            log.append("handles")
            await asyncio.sleep(0)
        finally:
            log.append("cleans up")

    log, coroutine = ["waits"], body()
    coroutine.send(None)
    coroutine.throw(LookupError())
    coroutine.close()
    return ", ".join(log)


async def asend_fails():
    async def averages():
        total = count = average = 0
        while True:
            number = yield average
            await asyncio.sleep(0.1)
            total, count = total + number, count + 1
            average = total // count

    generator = averages()
    await anext(generator)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(generator.asend(10), 0.01)
    try:
        return f"the next answer: {await generator.asend(20)}"
    except StopAsyncIteration:
        return "it has ended"


async def exit_sees_the_error():
    async def swallow(kind, error, trace):
        log.append(str(error))
        return True

    log = []
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_exit(swallow)
        raise LookupError("the body's error")
    return f"swallowed: {', '.join(log)}"


async def marks():
    ours, theirs = await socket_pair()
    ours.transport.set_write_buffer_limits(high=100, low=10)
    low, high = ours.transport.get_write_buffer_limits()
    waiting = ours.transport.get_write_buffer_size()
    ours.close()
    theirs.close()
    return f"two marks: {high} and {low}, {waiting} bytes wait"


async def socket_pair():
    pair = [await asyncio.open_connection(sock=it) for it in socket.socketpair()]
    return [writer for _, writer in pair]


def probes():
    yield "event.wait.returns-true", wait_returns()
    yield "condition.wait.cancelled-holds-lock", cancelled_waiter()
    yield "condition.wait.needs-lock", wait_without_lock()
    yield "condition.with.holds-lock", held_over_await()
    yield "semaphore.acquire.woken-before-releaser", releases_and_acquires()
    yield "barrier.reset.half-left", half_left(asyncio.Barrier.reset)
    yield "barrier.abort.half-left", half_left(asyncio.Barrier.abort)
    yield "task_group.cleanup.child-fails-meanwhile", child_fails_in_the_clean_up()
    yield "task_group.error.child-and-cleanup", errors(child_and_clean_up_fail())
    yield "task_group.cleanup.manager-fails", errors(child_and_manager_fail())
    yield "task_group.interrupt.others-in-group", errors(child_and_other())
    yield "task_group.interrupt.wins", interrupt_wins()
    yield "task_group.create_task.before-enter-refused", created_before()
    yield "task_group.cancel-method.ends-body", group_is_ended()
    yield "task_group.cancel.may-raise-otherwise", raises_otherwise()
    yield "task.cancel.may-be-caught", cancelled(catches)
    yield "timeout.cancel.may-be-swallowed", cancelled(catches_and_times_out)
    yield "timeout.cleanup.may-wait", cancelled(cleans_up_within_a_limit)
    yield "wait_for.limit.may-be-ignored", ignores_its_limit()
    yield "task.error.chained", made_of_another()
    yield "task.cancel.error-has-cause", made_of_a_cancel()
    yield "task.error.traceback", trace_of_error()
    yield "asynccontextmanager.traceback", trace_of_manager()
    yield "task.cancel.traceback", trace_of_cancel()
    yield "task.get_stack.frames", stack_of_task()
    yield "wait.timeout.same-moment", wait_to_the_moment()
    yield "handle.cancelled.tells", cancelled_handle()
    yield "eager.gather.task-each", tasks_of_a_gather()
    yield "coroutine.by-hand", driven_by_hand()
    yield "generator.asend.error-ends-it", asend_fails()
    yield "exit_stack.push.sees-error", exit_sees_the_error()
    yield "transport.limits.high-and-low", marks()


run(probes, 10)
