import asyncio
import contextlib
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import run, settle

AsyncExitStack = contextlib.AsyncExitStack


class Resource:
    """Notes what becomes of it."""

    def __init__(self, opens=True, closes=True):
        self.seen, self.opens, self.closes = [], opens, closes

    async def __aenter__(self):
        await asyncio.sleep(0)
        if not self.opens:
            raise KeyError("open")
        self.seen.append("opened")
        return self

    async def __aexit__(self, *error):
        await asyncio.sleep(0)
        self.seen.append("closed")
        if not self.closes:
            raise KeyError("close")

    def told(self):
        return ", ".join(self.seen)


async def used(resource, body):
    try:
        async with resource:
            await body()
    except KeyError as error:
        return f"{resource.told()}, error {error.args[0]}"
    return resource.told()


async def nothing():
    pass


async def fail():
    raise KeyError("body")


# async with.


async def plain():
    resource = Resource()

    async def body():
        resource.seen.append("used")

    return await used(resource, body)


async def body_fails():
    return await used(Resource(), fail)


async def bug():
    resource = Resource()
    try:
        async with resource:
            [][0]
    except IndexError:
        return f"{resource.told()}, the bug"


async def cancelled():
    resource = Resource()

    async def use():
        async with resource:
            await asyncio.sleep(10)

    try:
        await asyncio.wait_for(use(), 0.05)
    except TimeoutError:
        return resource.told()


async def open_fails():
    return await used(Resource(opens=False), nothing)


async def close_fails():
    return await used(Resource(closes=False), nothing)


async def both_fail():
    return await used(Resource(closes=False), fail)


async def left_by_return():
    resource = Resource()

    async def value():
        async with resource:
            return "value"

    return f"{await value()}, {resource.told()}"


async def nested():
    first, second = Resource(), Resource()
    seen = first.seen = second.seen = []
    try:
        async with first, second:
            raise KeyError
    except KeyError:
        return ", ".join(seen)


async def swallowed():
    @contextlib.asynccontextmanager
    async def forgiving():
        try:
            yield
        except KeyError:
            pass

    async with forgiving():
        raise KeyError
    return "no error"


async def changed():
    @contextlib.asynccontextmanager
    async def translating():
        try:
            yield
        except KeyError as error:
            raise ValueError(error.args[0]) from error

    try:
        async with translating():
            raise KeyError("body")
    except ValueError as error:
        return f"another error of {error.args[0]}"


async def null():
    lock, seen = asyncio.Lock(), []
    for guard in (lock, contextlib.nullcontext()):
        async with guard:
            seen.append("locked" if lock.locked() else "not locked")
    return ", ".join(seen)


async def decorated():
    resource = Resource()

    @contextlib.asynccontextmanager
    async def managed():
        async with resource:
            yield

    @managed()
    async def work():
        resource.seen.append("works")

    await work()
    return resource.told()


# AsyncExitStack.


async def stack_order():
    seen = []

    async def note(number):
        seen.append(str(number))

    async with AsyncExitStack() as stack:
        for number in (1, 2, 3):
            stack.push_async_callback(note, number)
    return ", ".join(seen)


async def stack_second_fails():
    first = Resource()
    try:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(first)
            await stack.enter_async_context(Resource(opens=False))
    except KeyError as error:
        return f"{first.told()}, error {error.args[0]}"


async def stack_callback_fails():
    async def broken():
        raise KeyError("callback")

    try:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(broken)
        return "no error"
    except KeyError as error:
        return f"error {error.args[0]}"


async def stack_many_fail():
    async def broken(name):
        raise KeyError(name)

    seen = []
    try:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(broken, "first")
            stack.push_async_callback(broken, "second")
            raise KeyError("body")
    except KeyError as error:
        while error:
            seen.append(error.args[0])
            error = error.__context__
    return f"{seen[0]} is raised, all: {', '.join(sorted(seen))}"


async def stack_deep():
    count = 0

    async def note():
        nonlocal count
        count += 1

    async with AsyncExitStack() as stack:
        for _ in range(10_000):
            stack.push_async_callback(note)
    return f"{count} callbacks"


async def stack_close():
    resource, stack = Resource(), AsyncExitStack()
    await stack.enter_async_context(resource)
    await stack.aclose()
    return resource.told()


async def stack_cancelled():
    """Whether its callbacks run, and when."""
    resource = Resource()

    async def use():
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(resource)
            await asyncio.sleep(10)

    try:
        await asyncio.wait_for(use(), 0.05)
    except TimeoutError:
        pass
    before = len(resource.seen)
    await settle()
    return f"{resource.told()}, {before} of 2 steps before the error arrives"


async def stack_kept():
    """What was opened in a function that fails is closed, else it is handed out."""

    async def both(second):
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(first)
            await stack.enter_async_context(second)
            return stack.pop_all()

    first = Resource()
    stack = await both(Resource())
    kept = first.told()
    await stack.aclose()
    return f"{kept}; later {first.told()}"


def probes():
    yield "with.order", plain()
    yield "with.body-error.closes", body_fails()
    yield "with.bug.closes", bug()
    yield "with.bug.closes@scoped", bug()
    yield "with.cancelled.closes@scoped", cancelled()
    yield "with.open-error.does-not-close", open_fails()
    yield "with.close-error.is-raised@scoped", close_fails()
    yield "with.both-errors.last-is-raised@scoped", both_fail()
    yield "with.return.closes@scoped", left_by_return()
    yield "with.nested.closes-in-reverse@scoped", nested()
    yield "asynccontextmanager.may-swallow", swallowed()
    yield "asynccontextmanager.may-change-error", changed()
    yield "nullcontext.no-guard@Option", null()
    yield "asynccontextmanager.as-decorator@call", decorated()
    yield "exit_stack.callbacks.in-reverse", stack_order()
    yield "exit_stack.enter.second-fails-first-closes", stack_second_fails()
    yield "exit_stack.callback-error.is-raised", stack_callback_fails()
    yield "exit_stack.errors.last-is-raised", stack_many_fail()
    yield "exit_stack.callbacks.many", stack_deep()
    yield "exit_stack.aclose.closes", stack_close()
    yield "exit_stack.cancelled.closes", stack_cancelled()
    yield "exit_stack.pop_all.hands-out@return", stack_kept()


run(probes, 2)
