"""What the groups have in common: how a clause is tried. As in support.rs."""

import asyncio

# After this time a probe counts as hanging.
HANGS = 1
# None of the clauses that are tried together hangs, however busy the machine is.
NEVER = 30
lines = []


async def try_out(clause, probe):
    """Runs the probe, and notes what it returns, or that it raises or hangs."""
    lines.append(f"{clause}: {await tell(probe, HANGS)}")


async def tell(probe, hangs):
    task = asyncio.create_task(probe)
    await asyncio.wait([task], timeout=hangs)
    if not task.done():
        told = "hangs"
    elif task.cancelled():
        told = "cancelled"
    elif error := task.exception():
        told = f"raises {type(error).__name__}: {error}"
    else:
        told = task.result()
    task.cancel()
    return told


def run(probes, moment):
    """Tries the clauses of `probes` one after the other, and prints what came out at this
    moment after the start. So all have one time, and a clause that takes longer in one
    language moves no other line."""

    async def main():
        start = now()
        for clause, probe in probes():
            await try_out(clause, probe)
        await asyncio.sleep(start + moment - now())
        print("\n".join(lines))

    asyncio.run(main())


def run_together(probes, moment):
    """As `run`, with all clauses at the same time: for the real clock."""

    async def main():
        start = now()
        clauses = list(probes())
        told = await asyncio.gather(*(tell(probe, NEVER) for _, probe in clauses))
        await asyncio.sleep(start + moment - now())
        for (clause, _), text in zip(clauses, told):
            print(f"{clause}: {text}")

    asyncio.run(main())


def now():
    return asyncio.get_running_loop().time()


async def settle():
    """Lets all other tasks run until they wait."""
    await asyncio.sleep(0.01)


def yes(fact):
    return "true" if fact else "false"
