import asyncio
import sys
from asyncio import LifoQueue, PriorityQueue, Queue, QueueEmpty, QueueFull, QueueShutDown
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import run, settle, yes


async def within(limit, awaitable):
    """Tells whether it ended in time."""
    try:
        await asyncio.wait_for(awaitable, limit)
        return "true"
    except TimeoutError:
        return "false"


async def refused(awaitable):
    try:
        await awaitable
        return "false"
    except QueueShutDown:
        return "true"


def why_not(function, *args):
    try:
        function(*args)
        return "taken"
    except QueueEmpty:
        return "empty"
    except QueueFull:
        return "full"
    except QueueShutDown:
        return "shut down"


async def shutdown_wakes_getter():
    queue = Queue(1)
    getting = asyncio.create_task(queue.get())
    await settle()
    queue.shutdown()
    return f"the waiting get ends: {await refused(getting)}"


async def shutdown_wakes_putter():
    queue = Queue(1)
    await queue.put("a")
    putting = asyncio.create_task(queue.put("b"))
    await settle()
    queue.shutdown()
    return f"the waiting put is refused: {await refused(putting)}"


async def shutdown_keeps_items():
    queue = Queue(2)
    await queue.put("a")
    queue.shutdown()
    size = queue.qsize()
    item = await queue.get()
    return f"{size} item, {item}, then the end: {await refused(queue.get())}"


async def shutdown_refuses():
    queue = Queue(2)
    queue.shutdown()
    put = await refused(queue.put(1))
    put_nowait = yes(why_not(queue.put_nowait, 1) == "shut down")
    return f"put: {put}, put_nowait: {put_nowait}, get: {await refused(queue.get())}"


async def shutdown_get_nowait():
    queue = Queue(2)
    before = why_not(queue.get_nowait)
    queue.shutdown()
    return f"{before} before, {why_not(queue.get_nowait)} after"


async def shutdown_join():
    queue = Queue(2)
    await queue.put("a")
    await queue.get()
    queue.shutdown()
    before = await within(0.02, queue.join())
    queue.task_done()
    await queue.join()
    return f"joined with an item in work: {before}, after it: true"


async def shutdown_immediate():
    queue = Queue(2)
    await queue.put("a")
    await queue.put("b")
    queue.shutdown(immediate=True)
    await queue.join()
    return f"{queue.qsize()} items, joined"


async def shutdown_immediate_unfinished():
    queue = Queue(2)
    await queue.put("a")
    await queue.put("b")
    await queue.get()
    queue.shutdown(immediate=True)
    before = await within(0.02, queue.join())
    queue.task_done()
    await queue.join()
    return f"joined with an item in work: {before}, after it: true"


async def priority_shutdown_getter():
    queue = PriorityQueue(1)
    getting = asyncio.create_task(queue.get())
    await settle()
    queue.shutdown()
    ended = await refused(getting)
    put = await refused(queue.put(1))
    return f"the waiting get ends: {ended}; put is refused: {put}"


async def priority_shutdown_putter():
    queue = PriorityQueue(1)
    await queue.put((1, "a"))
    putting = asyncio.create_task(queue.put((2, "b")))
    await settle()
    queue.shutdown()
    was_refused = await refused(putting)
    item = (await queue.get())[1]
    return f"the waiting put is refused: {was_refused}; {item} is left"


async def lifo_shutdown():
    queue = LifoQueue()
    await queue.put("a")
    await queue.put("b")
    queue.shutdown()
    items = f"{await queue.get()} {await queue.get()}"
    return f"{items}, then the end: {await refused(queue.get())}"


def probes():
    for counterpart in ["", "@locked", "@drop", "@condition"]:
        yield f"queue.shutdown.wakes-getters{counterpart}", shutdown_wakes_getter()
    yield "queue.shutdown.wakes-putters", shutdown_wakes_putter()
    yield "queue.shutdown.keeps-items", shutdown_keeps_items()
    yield "queue.shutdown.refuses-afterwards", shutdown_refuses()
    yield "queue.shutdown.get_nowait-tells", shutdown_get_nowait()
    yield "queue.shutdown.join-waits-for-work", shutdown_join()
    yield "queue.shutdown-immediate.drops-items", shutdown_immediate()
    unfinished = shutdown_immediate_unfinished()
    yield "queue.shutdown-immediate.join-waits-for-work", unfinished
    yield "priority.shutdown.wakes-getters", priority_shutdown_getter()
    yield "priority.shutdown.wakes-putters", priority_shutdown_putter()
    yield "lifo.shutdown.keeps-items", lifo_shutdown()


run(probes, 10)
