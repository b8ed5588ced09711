import asyncio
import contextlib
import contextvars
import socket
import sys
import warnings
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import run_together, settle

# Some of the names are deprecated since 3.14.
warnings.simplefilter("ignore", DeprecationWarning)
name = contextvars.ContextVar("name", default="nothing")


async def work(value=None):
    return value


async def cancelled_with(message, waiting):
    task = asyncio.create_task(waiting)
    await settle()
    task.cancel(message)
    try:
        await task
    except asyncio.CancelledError as error:
        return error.args[0]


async def condition_cancelled_with(message):
    async def wait():
        async with condition:
            await condition.wait()

    condition = asyncio.Condition()
    return await cancelled_with(message, wait())


async def barrier_counts():
    barrier = asyncio.Barrier(2)
    first = asyncio.create_task(barrier.wait())
    await settle()
    waiting = barrier.n_waiting
    await barrier.wait()
    state = repr(barrier).split("[")[1].split(",")[0]
    await first
    return f"{waiting} waits, then the barrier is {state}"


# Tasks.


async def names():
    async with asyncio.TaskGroup() as group:
        child = group.create_task(work(), name="a child")
    task = asyncio.create_task(work(), name="a task")
    told = [child.get_name(), task.get_name()]
    task.set_name(7)
    told.append(task.get_name())
    await task
    return ", ".join(told)


async def shared_context():
    async def change():
        before = name.get()
        name.set("changed")
        return before

    context = contextvars.copy_context()
    async with asyncio.TaskGroup() as group:
        child = group.create_task(change(), context=context)
    task = asyncio.create_task(change(), context=context)
    return f"{child.result()}, {await task}"


async def counts_requests():
    task = asyncio.create_task(asyncio.sleep(100))
    await settle()
    task.cancel()
    task.cancel()
    told = f"{task.cancelling()} requests"
    await asyncio.wait([task])
    return told


async def cancels_itself():
    async def body():
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    task = asyncio.create_task(body())
    await asyncio.wait([task])
    return "cancelled" if task.cancelled() else "runs"


async def items_in_any_order():
    items = list(asyncio.as_completed([work("a"), work("b")]))
    items.reverse()
    return " ".join(sorted(await asyncio.gather(*items)))


async def result_is_the_tasks_own():
    task = asyncio.create_task(work())
    with contextlib.suppress(RuntimeError):
        task.set_result(1)
        return "is set"
    return "is refused"


async def asks_at_run_time():
    future = asyncio.get_running_loop().create_future()
    functions = asyncio.iscoroutinefunction(work), asyncio.iscoroutinefunction(print)
    futures = asyncio.isfuture(future), asyncio.isfuture(1)
    return f"functions {functions}, futures {futures}"


async def has_its_coroutine():
    coroutine = work()
    task = asyncio.create_task(coroutine)
    await task
    return f"the same: {task.get_coro() is coroutine}"


async def registers_itself():
    class Own:
        done = staticmethod(lambda: False)

        def get_loop(self):
            return loop

    loop, own = asyncio.get_running_loop(), Own()
    asyncio._register_task(own)
    found = own in asyncio.all_tasks()
    asyncio._unregister_task(own)
    return f"all_tasks has it: {found}"


async def error_of_the_loop():
    """A loop that cannot schedule the first step of a task."""

    class Loop(asyncio.SelectorEventLoop):
        def call_soon(self, *args, **options):
            if self.fails:
                raise ValueError
            return super().call_soon(*args, **options)

    loop, told = Loop(), []
    loop.fails = True
    loop.set_exception_handler(lambda _, context: told.append(context["message"]))
    with contextlib.suppress(ValueError):
        coroutine = work()
        asyncio.Task(coroutine, loop=loop)
    coroutine.close()
    loop.fails = False
    loop.close()
    return ", ".join(told)


async def exception_class():
    future = asyncio.get_running_loop().create_future()
    future.set_exception(LookupError)
    return f"an instance: {isinstance(future.exception(), LookupError)}"


async def counts_callbacks():
    future = asyncio.get_running_loop().create_future()
    future.add_done_callback(print)
    future.add_done_callback(print)
    return f"{future.remove_done_callback(print)} removed"


# Loops.


def in_a_run(body, **options):
    return asyncio.to_thread(lambda: asyncio.run(body(), **options))


async def debug_mode():
    return f"debug: {asyncio.get_running_loop().get_debug()}"


async def task_factory():
    made = []

    def make(loop, coroutine, **options):
        made.append(asyncio.Task(coroutine, loop=loop, **options))
        return made[-1]

    asyncio.get_running_loop().set_task_factory(make)
    task = asyncio.create_task(work())
    await task
    return f"made by the factory: {made == [task]}"


async def makes_loops():
    loop = asyncio.get_event_loop_policy().new_event_loop()
    loop.close()
    return f"makes a loop: {isinstance(loop, asyncio.AbstractEventLoop)}"


async def name_of_an_address():
    flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    loop = asyncio.get_running_loop()
    return " ".join(await loop.getnameinfo(("127.0.0.1", 80), flags))


# Streams and protocols.


async def stream_tells():
    reader = asyncio.StreamReader()
    reader.set_exception(LookupError("an error"))
    ended = asyncio.StreamReader()
    ended.feed_eof()
    return f"at its end: {ended.at_eof()}, {reader.exception()}"


async def default_callbacks():
    protocol = asyncio.Protocol()
    told = [
        protocol.connection_made(None),
        protocol.data_received(b""),
        protocol.eof_received(),
        protocol.connection_lost(None),
        protocol.pause_writing(),
        protocol.resume_writing(),
    ]
    return f"{told.count(None)} of {len(told)} return nothing"


async def unknown_information():
    ours, theirs = socket.socketpair()
    with theirs:
        _, writer = await asyncio.open_connection(sock=ours)
        told = writer.get_extra_info("no such name", "the default")
        writer.close()
    return told


# Managers and generators.


async def pop_all():
    log = []
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(log.append, "closed")
        kept = stack.pop_all()
    log.append("left")
    await kept.aclose()
    return ", ".join(log)


async def generator(log):
    try:
        yield 1
    except LookupError:
        log.append("handled")
    yield 2


async def throw():
    log = []
    items = generator(log)
    await anext(items)
    value = await items.athrow(LookupError)
    return f"{', '.join(log)}, then yields {value}"


async def raises_the_end():
    async def items():
        raise StopAsyncIteration
        yield

    try:
        await anext(items())
    except RuntimeError as error:
        return str(error)


async def own_iterator():
    items = generator([])
    return f"the same: {aiter(items) is items}"


async def internals():
    coroutine = work()
    told = f"running: {coroutine.cr_running}, in {coroutine.cr_code.co_name}"
    coroutine.close()
    return told


def probes():
    yield "condition.cancel.message", condition_cancelled_with("a message")
    yield "task.cancel.message", cancelled_with("a message", asyncio.sleep(100))
    yield "barrier.n_waiting.counts", barrier_counts()
    yield "barrier.state.draining", barrier_counts()
    yield "task_group.create_task.name", names()
    yield "create_task.name", names()
    yield "task.set_name.changes", names()
    yield "task_group.create_task.context", shared_context()
    yield "context.shared.changes", shared_context()
    yield "task.cancelling.counts", counts_requests()
    yield "task.cancel.itself-by-current_task", cancels_itself()
    yield "as_completed.items.any-order", items_in_any_order()
    yield "sleep.result.returned", asyncio.sleep(0, "returns 7")
    yield "task.result.cannot-be-set", result_is_the_tasks_own()
    yield "iscoroutinefunction.at-run-time", asks_at_run_time()
    yield "future.isfuture", asks_at_run_time()
    yield "task.get_coro", has_its_coroutine()
    yield "task.hooks.register", registers_itself()
    yield "loop.call_soon.error-logged", error_of_the_loop()
    yield "future.exception.class", exception_class()
    yield "future.remove_done_callback.returns-count", counts_callbacks()
    yield "run.debug", in_a_run(debug_mode, debug=True)
    yield "loop.task_factory", in_a_run(task_factory)
    yield "loop.policy", makes_loops()
    yield "loop.getnameinfo", name_of_an_address()
    yield "stream.at_eof.tells-without-read", stream_tells()
    yield "stream.exception.can-be-asked", stream_tells()
    yield "protocol.defaults", default_callbacks()
    yield "transport.info.default", unknown_information()
    yield "exit_stack.pop_all.hands-out", pop_all()
    yield "generator.athrow.may-go-on", throw()
    yield "generator.error.stop", raises_the_end()
    yield "iterator.aiter", own_iterator()
    yield "coroutine.internals", internals()


run_together(probes, 1)
