import asyncio


class Failed(Exception):
    pass


async def work(name, delay):
    await asyncio.sleep(delay)
    if name == "bad":
        raise Failed(f"{name} failed")
    return name


async def main():
    print("Until the first has completed, again and again:")
    works = [work("slow", 0.4), work("fast", 0.1), work("middle", 0.3)]
    pending = {asyncio.create_task(coro) for coro in works}
    while pending:
        done, pending = await asyncio.wait(
            pending, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            print(f"{task.result()}; {len(pending)} pending")

    print("Until the first error:")
    works = [work("slow", 0.4), work("fast", 0.1), work("bad", 0.2)]
    tasks = [asyncio.create_task(coro) for coro in works]
    cancelled = asyncio.create_task(work("cancelled", 0.1))
    cancelled.cancel()
    done, pending = await asyncio.wait(
        [*tasks, cancelled], return_when=asyncio.FIRST_EXCEPTION
    )
    values = []
    for task in done:
        if not task.cancelled() and task.exception() is None:
            values.append(task.result())
    print(f"{tasks[-1].exception()}; done: {', '.join(values)}; {len(pending)} pending")
    done, _ = await asyncio.wait(pending)
    values += [task.result() for task in done]
    print(f"done: {', '.join(values)}")


asyncio.run(main())
