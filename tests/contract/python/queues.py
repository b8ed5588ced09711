import asyncio
import sys
from asyncio import LifoQueue, PriorityQueue, Queue, QueueEmpty, QueueFull
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


def why_not(function, *args):
    try:
        function(*args)
        return "taken"
    except QueueEmpty:
        return "empty"
    except QueueFull:
        return "full"


# What is there, and how much.


async def empty():
    queue = Queue(1)
    before = yes(queue.empty())
    await queue.put(1)
    with_one = yes(queue.empty())
    await queue.get()
    return f"{before}, {with_one} with an item, {yes(queue.empty())} after it"


async def full():
    queue = Queue()
    for number in range(1000):
        queue.put_nowait(number)
    unbounded = yes(not queue.full())
    queue = Queue(1)
    before = yes(queue.full())
    await queue.put(1)
    after = yes(queue.full())
    return f"unbounded takes 1000: {unbounded}; of one: {before}, {after} with an item"


async def order(queue):
    for item in [1, 3, 2]:
        await queue.put(item)
    return " ".join([str(await queue.get()) for _ in range(3)])


async def maxsize():
    return str(Queue(2).maxsize)


async def maxsize_zero():
    queue = Queue(0)
    taken = all(why_not(queue.put_nowait, number) == "taken" for number in range(1000))
    return f"takes 1000: {yes(taken)}"


# Put and get.


async def put_waits():
    queue = Queue(2)
    count = 0

    async def put_three():
        nonlocal count
        for item in range(3):
            await queue.put(item)
            count += 1

    putting = asyncio.create_task(put_three())
    await settle()
    before = count
    await queue.get()
    await settle()
    after = count
    await putting
    return f"{before} of 3 are put, after a get {after}"


async def put_unbounded():
    queue = Queue()
    for item in range(1000):
        await queue.put(item)
    return "1000 without a wait"


async def get_at_once():
    queue = Queue(1)
    await queue.put("a")
    return await queue.get()


async def get_waits():
    queue = Queue(1)
    getting = asyncio.create_task(queue.get())
    await settle()
    before = yes(getting.done())
    await queue.put("a")
    return f"done before the put: {before}; then {await getting}"


async def get_wakes_putter():
    queue = Queue(1)
    await queue.put("a")
    putting = asyncio.create_task(queue.put("b"))
    await settle()
    first = await queue.get()
    await putting
    return f"{first}; the waiting put is done: true; {await queue.get()}"


async def full_before_the_putter_runs():
    queue = Queue(1)
    await queue.put("a")
    putting = asyncio.create_task(queue.put("b"))
    await settle()
    await queue.get()
    if why_not(queue.put_nowait, "c") == "taken":
        told = "put_nowait takes the free place"
    else:
        told = "put_nowait is refused: the place belongs to the waiting put"
    putting.cancel()
    return told


async def get_nowait():
    queue = Queue(1)
    queue.put_nowait("a")
    return queue.get_nowait()


async def get_nowait_empty():
    return why_not(Queue(1).get_nowait)


async def put_nowait_full():
    queue = Queue(1)
    queue.put_nowait(1)
    return why_not(queue.put_nowait, 2)


async def putters_in_order():
    queue = Queue(1)
    putters = []
    for item in "abc":
        putters.append(asyncio.create_task(queue.put(item)))
        await settle()
    return " ".join([await queue.get() for _ in range(3)])


async def producer_and_consumer():
    queue = Queue(1)

    async def produce():
        for item in range(5):
            await queue.put(item)

    producing = asyncio.create_task(produce())
    items = [str(await queue.get()) for _ in range(5)]
    await producing
    return " ".join(items)


async def four_puts_one_drain():
    queue = Queue(2)
    putters = [asyncio.create_task(queue.put(item)) for item in range(4)]
    await settle()
    for _ in range(queue.qsize()):
        queue.get_nowait()
    done, _ = await asyncio.wait(putters)
    return f"{len(done)} of 4 puts are done"


# Cancelled at a get or a put.


async def cancelled_get(queue):
    first = asyncio.create_task(queue.get())
    await settle()
    second = asyncio.create_task(queue.get())
    await settle()
    first.cancel()
    await queue.put("a")
    return f"the second getter gets {await second}"


async def cancelled_after_put():
    queue = Queue()
    reader = asyncio.create_task(queue.get())
    await settle()
    queue.put_nowait("a")
    queue.put_nowait("b")
    reader.cancel()
    await asyncio.wait([reader])
    return f"{await queue.get()} {await queue.get()} are there"


async def cancelled_owner():
    queue = Queue()

    async def consume():
        await queue.get()
        await asyncio.sleep(0.5)

    reader = asyncio.create_task(consume())
    await settle()
    queue.put_nowait("a")
    queue.put_nowait("b")
    await settle()
    reader.cancel()
    await asyncio.wait([reader])
    queue.put_nowait("c")
    return f"{queue.get_nowait()} is there, and {queue.get_nowait()} is put"


async def cancelled_one_of_three():
    queue = Queue()
    readers = []
    for _ in range(3):
        readers.append(asyncio.create_task(queue.get()))
        await settle()
    readers[0].cancel()
    await settle()
    queue.put_nowait("a")
    await settle()
    queue.put_nowait("b")
    return f"the others get {await readers[1]} and {await readers[2]}"


async def timed_out_get():
    queue = Queue(1)
    timed_out = yes(await within(0.02, queue.get()) == "false")
    await queue.put("a")
    return f"timed out: {timed_out}; then {await queue.get()}"


async def cancelled_put():
    queue = Queue(1)
    await queue.put("a")
    item = "b"
    timed_out = yes(await within(0.02, queue.put(item)) == "false")
    await queue.get()
    await queue.put(item)
    return f"timed out: {timed_out}; the caller still has the item"


async def cancel_after_put():
    queue = Queue(1)

    async def put():
        await queue.put("a")
        await asyncio.sleep(0.5)

    putting = asyncio.create_task(put())
    await settle()
    putting.cancel()
    return await queue.get()


async def cancelled_putter_is_skipped():
    queue = Queue(1)
    putters = []
    for item in "abc":
        putters.append(asyncio.create_task(queue.put(item)))
        await settle()
    putters[1].cancel()
    await settle()
    return f"{await queue.get()} {await queue.get()}"


async def cancelled_when_woken():
    queue = Queue(1)
    await queue.put("a")
    putting = asyncio.create_task(queue.put("b"))
    await settle()
    queue.get_nowait()
    putting.cancel()
    await asyncio.wait([putting])
    free = why_not(queue.put_nowait, "c") == "taken"
    return f"no place is lost: {yes(free)}"


# Other orders.


async def priority_order():
    queue = PriorityQueue()
    for priority in [1, 3, 2, -1]:
        await queue.put(priority)
    return " ".join([str(await queue.get()) for _ in range(4)])


async def priority_ties():
    queue = PriorityQueue()
    for item in ["b", "a", "c"]:
        await queue.put((1, item))
    return " ".join([(await queue.get())[1] for _ in range(3)])


async def priority_cancelled_get():
    queue = PriorityQueue()
    first = asyncio.create_task(queue.get())
    await settle()
    second = asyncio.create_task(queue.get())
    await settle()
    first.cancel()
    await queue.put((1, "a"))
    return f"the second getter gets {(await second)[1]}"


async def priority_cancelled_put():
    queue = PriorityQueue(1)
    await queue.put((1, "a"))
    first = asyncio.create_task(queue.put((2, "b")))
    await settle()
    second = asyncio.create_task(queue.put((3, "c")))
    await settle()
    first.cancel()
    await settle()
    await queue.get()
    await second
    return f"the second put is done: true; {(await queue.get())[1]}"


# Join.


async def join_all():
    queue = Queue()
    total = 0

    async def work():
        nonlocal total
        while True:
            total += await queue.get()
            queue.task_done()

    for number in range(100):
        queue.put_nowait(number)
    workers = [asyncio.create_task(work()) for _ in range(2)]
    await queue.join()
    for worker in workers:
        worker.cancel()
    return f"the sum is {total}"


async def join_empty():
    queue = Queue()
    await queue.join()
    await queue.join()
    return "joined twice"


async def task_done_too_often():
    queue = Queue()
    queue.task_done()
    return "0 are unfinished"


async def join_with_a_dead_worker():
    queue = Queue()
    for number in range(3):
        queue.put_nowait(number)

    async def work():
        while True:
            await queue.get()
            await asyncio.sleep(0.5)
            queue.task_done()

    worker = asyncio.create_task(work())
    await settle()
    worker.cancel()
    if await within(0.1, queue.join()) == "true":
        return "join returns, the work is undone"
    return "join still waits"


async def join_priority():
    queue = PriorityQueue()
    await queue.put(1)
    before = await within(0.02, queue.join())
    await queue.get()
    queue.task_done()
    await queue.join()
    return f"joined before: {before}, after: true"


def probes():
    yield "queue.empty.follows-items", empty()
    yield "queue.full.at-maxsize", full()
    yield "queue.order.first-in-first-out", order(Queue())
    yield "queue.maxsize.tells-limit", maxsize()
    yield "queue.maxsize.zero-is-unbounded", maxsize_zero()
    yield "queue.put.waits-when-full", put_waits()
    yield "queue.put.never-waits-unbounded", put_unbounded()
    yield "queue.get.returns-item-there", get_at_once()
    yield "queue.get.waits-for-put", get_waits()
    yield "queue.get.wakes-putter", get_wakes_putter()
    yield "queue.full.before-woken-put-runs", full_before_the_putter_runs()
    yield "queue.get_nowait.returns-item", get_nowait()
    yield "queue.get_nowait.refuses-empty", get_nowait_empty()
    yield "queue.put_nowait.refuses-full", put_nowait_full()
    yield "queue.put.waiting-puts-keep-order", putters_in_order()
    yield "queue.put.producer-and-consumer", producer_and_consumer()
    yield "queue.put.all-woken-after-drain", four_puts_one_drain()
    for counterpart in ["", "@locked"]:
        yield f"queue.get.cancelled-takes-nothing{counterpart}", cancelled_get(Queue())
    for counterpart in ["", "@locked"]:
        yield f"queue.get.cancelled-after-put{counterpart}", cancelled_after_put()
    yield "queue.get.cancelled-consumer-keeps-items@owner", cancelled_owner()
    yield "queue.get.cancelled-one-of-three", cancelled_one_of_three()
    yield "queue.get.timed-out-loses-nothing", timed_out_get()
    for counterpart in ["", "@reserve"]:
        yield f"queue.put.cancelled-keeps-item{counterpart}", cancelled_put()
    yield "queue.put.done-is-not-undone", cancel_after_put()
    yield "queue.put.cancelled-is-skipped", cancelled_putter_is_skipped()
    yield "queue.put.cancelled-frees-its-place", cancelled_when_woken()
    for counterpart in ["@priority", "@vec"]:
        yield f"lifo.order.last-in-first-out{counterpart}", order(LifoQueue())
    yield "priority.order.smallest-first", priority_order()
    yield "priority.order.ties", priority_ties()
    yield "priority.get.cancelled-takes-nothing", priority_cancelled_get()
    yield "priority.put.cancelled-is-skipped", priority_cancelled_put()
    yield "queue.join.waits-for-all", join_all()
    for counterpart in ["", "@open"]:
        yield f"queue.join.returns-if-empty{counterpart}", join_empty()
    yield "queue.task_done.refused-too-often@count", task_done_too_often()
    yield "queue.join.waits-if-worker-dies", join_with_a_dead_worker()
    yield "priority.join.waits-for-all", join_priority()


run(probes, 10)
