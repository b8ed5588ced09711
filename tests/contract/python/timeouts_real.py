import asyncio
import sys
import time
from contextlib import suppress
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import run, yes


async def expired(limit, body):
    """Tells whether the timeout around the body expired."""
    with suppress(TimeoutError):
        async with asyncio.timeout(limit) as deadline:
            await body
    return yes(deadline.expired())


async def zero_turn():
    told = {await expired(0, asyncio.sleep(0)) for _ in range(5)}
    return f"expired: {told.pop() if len(told) == 1 else 'sometimes'}"


async def both_have_passed():
    async def inner():
        time.sleep(0.2)
        await asyncio.sleep(0.5)

    async def body():
        await expired(0.05, inner())
        await asyncio.sleep(0.5)

    if await expired(0.1, body()) == "true":
        return "the outer times out"
    return "only the inner times out"


async def outer_interrupts_behind_the_inner():
    log = []
    try:
        async with asyncio.timeout(0.1):
            if await expired(0.05, asyncio.sleep(0.5)) == "true":
                log.append("the inner times out")
            time.sleep(0.1)
            await asyncio.sleep(0.5)
            log.append("the code behind goes on")
    except TimeoutError:
        log.append("the outer times out")
    return ", ".join(log)


async def late_value():
    try:
        async with asyncio.timeout(0.05):
            time.sleep(0.1)
            return "returns 7"
    except TimeoutError:
        return "timed out"


def probes():
    yield "timeout.zero.turn-times-out", zero_turn()
    yield "timeout.nested.both-have-passed", both_have_passed()
    yield "timeout.nested.outer-interrupts", outer_interrupts_behind_the_inner()
    yield "timeout.value.late-without-await", late_value()


run(probes, 2)
