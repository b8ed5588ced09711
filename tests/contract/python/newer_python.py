import asyncio
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import run, settle, yes


async def cancelled_as_the_inner_ends():
    future = asyncio.get_running_loop().create_future()

    async def wait():
        await asyncio.wait_for(future, 0.5)
        await asyncio.sleep(0.5)

    waiting = asyncio.create_task(wait())
    await settle()
    future.set_result(None)
    waiting.cancel()
    await asyncio.wait([waiting])
    return f"the waiter is cancelled: {yes(waiting.cancelled())}"


def probes():
    yield "wait_for.cancel.as-inner-ends", cancelled_as_the_inner_ends()


run(probes, 2)
