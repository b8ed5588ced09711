import asyncio
import contextlib
import gc
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import run, settle, yes


async def two():
    yield 1
    await asyncio.sleep(0.01)
    yield 2


async def failing():
    yield 1
    raise KeyError("lost")


def joined(items):
    return " ".join(str(item) for item in items)


async def told(generator, count):
    """What `anext` does so many times."""
    seen = []
    for _ in range(count):
        try:
            seen.append(str(await anext(generator)))
        except StopAsyncIteration:
            seen.append("end")
        except KeyError:
            seen.append("error")
    return ", ".join(seen)


# Items, the end, errors.


async def items():
    return joined([item async for item in two()])


async def no_items():
    async def none():
        return
        yield

    return await told(none(), 1)


async def end_again():
    generator = two()
    return await told(generator, 4)


async def end_again_in_loop():
    """Waits for items and for a timer by turns, also after the end."""
    generator, ended, ticks = two(), False, 0
    while ticks < 3:
        try:
            await asyncio.wait_for(anext(generator), 0.02)
        except StopAsyncIteration:
            ended = True
            await asyncio.sleep(0.02)
            ticks += 1
    return f"ended: {yes(ended)}, {ticks} ticks"


async def error_then_end():
    return await told(failing(), 3)


async def error_of_iterator():
    class Numbers:
        def __init__(self):
            self.last = 0

        def __aiter__(self):
            return self

        async def __anext__(self):
            self.last += 1
            if self.last == 2:
                raise KeyError
            return self.last

    return await told(Numbers(), 3)


async def anext_default():
    generator = two()
    return joined([await anext(generator, "none") for _ in range(3)])


async def together():
    async def slow():
        await asyncio.sleep(0.01)
        yield 1
        yield 2

    generator = slow()
    results = await asyncio.gather(
        anext(generator), anext(generator), return_exceptions=True
    )
    second = results[1]
    if isinstance(second, RuntimeError):
        return "the second is refused"
    return f"the second gets {second}"


async def anext_cancelled():
    async def slow():
        await asyncio.sleep(0.05)
        yield 1
        yield 2

    generator = slow()
    try:
        await asyncio.wait_for(anext(generator), 0.01)
    except TimeoutError:
        pass
    return await told(generator, 2)


async def for_else():
    seen = []
    async for item in two():
        seen.append(item)
    else:
        seen.append("else")
    return joined(seen)


async def for_break():
    generator = two()
    async for item in generator:
        break
    return f"{item}, then {await told(generator, 2)}"


async def error_of_body():
    try:
        async for _ in two():
            raise KeyError
    except KeyError:
        return "the error passes"


# The end of a generator.


class Closes:
    """A generator that notes how it ends."""

    def __init__(self):
        self.seen = []

    async def run(self):
        try:
            self.seen.append("starts")
            yield 1
            self.seen.append("goes on")
            yield 2
        finally:
            self.seen.append("finally")

    def told(self):
        return ", ".join(self.seen)


async def aclose():
    closes = Closes()
    generator = closes.run()
    await anext(generator)
    await generator.aclose()
    return closes.told()


async def aclose_unstarted():
    closes = Closes()
    await closes.run().aclose()
    return f"{len(closes.seen)} steps"


async def aclosing_error():
    closes = Closes()
    try:
        async with contextlib.aclosing(closes.run()) as generator:
            async for _ in generator:
                raise KeyError
    except KeyError:
        return f"{closes.told()}, the error"


async def break_alone():
    """Whether leaving the loop closes the generator before the next line."""
    closes = Closes()
    generator = closes.run()
    async for _ in generator:
        break
    before = closes.told()
    await generator.aclose()
    return f"after the break: {before}"


async def forgotten():
    closes = Closes()
    generator = closes.run()
    await anext(generator)
    del generator
    gc.collect()
    await settle()
    return closes.told()


async def cancelled_consumer():
    closes = Closes()

    async def consume():
        async with contextlib.aclosing(closes.run()) as generator:
            async for _ in generator:
                await asyncio.sleep(10)

    task = asyncio.create_task(consume())
    await settle()
    task.cancel()
    await asyncio.wait([task])
    return closes.told()


# Values into a generator.


async def asend():
    async def total():
        sum = 0
        while True:
            sum += yield sum

    generator = total()
    await anext(generator)
    seen = [await generator.asend(number) for number in (1, 2, 3)]
    await generator.aclose()
    return joined(seen)


# Comprehensions.


async def comprehensions():
    as_list = [item + 100 async for item in two()]
    as_set = {item async for item in two()}
    as_dict = {item: item * 2 async for item in two()}
    return f"{joined(as_list)}; {joined(sorted(as_set))}; {as_dict[1]} {as_dict[2]}"


async def numbers():
    for number in range(6):
        yield number


async def condition():
    return joined([item async for item in numbers() if item % 2 == 0])


async def awaited_condition():
    async def even(number):
        await asyncio.sleep(0.001)
        return number % 2 == 0

    return joined([item async for item in numbers() if await even(item)])


async def nested():
    pairs = [(a, b) async for a in two() async for b in two()]
    return joined(f"{a}{b}" for a, b in pairs)


async def lazy():
    started = 0

    async def work(item):
        nonlocal started
        started += 1
        return item

    generator = (await work(item) async for item in numbers())
    before = started
    await anext(generator)
    after = started
    await generator.aclose()
    return f"{before} before, {after} after the first"


async def recursive():
    async def countdown(number):
        if number:
            yield number
            async for item in countdown(number - 1):
                yield item

    return joined([item async for item in countdown(3)])


def probes():
    yield "generator.items.in-order", items()
    yield "generator.items.none", no_items()
    for counterpart in ["", "@unfold", "@unfold-fuse", "@try_unfold"]:
        yield f"generator.anext.end-again{counterpart}", end_again()
    for counterpart in ["", "@unfold"]:
        yield f"generator.anext.end-in-select{counterpart}", end_again_in_loop()
    yield "generator.error.then-end", error_then_end()
    yield "iterator.error.goes-on", error_of_iterator()
    yield "anext.default.at-end", anext_default()
    yield "generator.anext.two-together-refused@lock", together()
    yield "generator.anext.cancelled-ends-it", anext_cancelled()
    yield "for.else.at-end", for_else()
    yield "for.break.keeps-generator", for_break()
    yield "for.body.error-passes", error_of_body()
    yield "generator.aclose.runs-finally", aclose()
    yield "generator.aclose.not-started", aclose_unstarted()
    yield "aclosing.error.closes", aclosing_error()
    yield "for.break.leaves-it-open", break_alone()
    yield "generator.forgotten.is-closed", forgotten()
    yield "aclosing.cancelled.closes", cancelled_consumer()
    yield "generator.asend.gives-value@struct", asend()
    yield "comprehension.list-set-dict", comprehensions()
    yield "comprehension.condition", condition()
    yield "comprehension.awaited-condition", awaited_condition()
    yield "comprehension.nested", nested()
    yield "generator_expression.lazy", lazy()
    yield "generator.recursive", recursive()


run(probes, 2)
