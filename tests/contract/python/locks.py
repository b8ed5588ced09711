import asyncio
import sys
from asyncio import Barrier, BoundedSemaphore, Condition, Event, Lock, Semaphore
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import run, settle, yes


def told(log):
    return ", ".join(log)


async def within(limit, awaitable):
    """Tells whether it ended in time."""
    try:
        await asyncio.wait_for(awaitable, limit)
        return "true"
    except TimeoutError:
        return "false"


# Lock.


async def taking(lock, log, name):
    async with lock:
        log.append(name)


async def lock_in_order():
    lock, log = Lock(), []
    await lock.acquire()
    tasks = []
    for name in ["a", "b", "c"]:
        tasks.append(asyncio.create_task(taking(lock, log, name)))
        await settle()
    lock.release()
    await asyncio.wait(tasks)
    return told(log)


async def lock_cancelled():
    lock, log = Lock(), []
    await lock.acquire()
    waiting = asyncio.create_task(taking(lock, log, "a"))
    await settle()
    waiting.cancel()
    await settle()
    lock.release()
    return f"locked: {yes(lock.locked())}"


async def lock_cancelled_as_released():
    lock, log = Lock(), []
    await lock.acquire()
    first = asyncio.create_task(taking(lock, log, "a"))
    await settle()
    second = asyncio.create_task(taking(lock, log, "b"))
    await settle()
    lock.release()
    first.cancel()
    return f"the next waiter gets it: {await within(0.2, second)}"


async def lock_locked():
    lock = Lock()
    before = yes(lock.locked())
    async with lock:
        held = yes(lock.locked())
    return f"{before}, {held} while it is held, {yes(lock.locked())} after it"


async def lock_released_by_another():
    async def release():
        lock.release()

    lock = Lock()
    await lock.acquire()
    await asyncio.create_task(release())
    return f"locked: {yes(lock.locked())}"


async def lock_twice():
    lock = Lock()
    async with lock, lock:
        return "taken twice"


async def lock_after_an_error():
    async def work():
        nonlocal value
        async with lock:
            value = 2
            raise LookupError("half done")

    lock, value = Lock(), 1
    await asyncio.gather(work(), return_exceptions=True)
    return f"the lock is {'taken' if lock.locked() else 'free'}, the value is {value}"


# Event.


async def passing(event, log, name):
    await event.wait()
    log.append(name)


async def event_order():
    event, log = Event(), []
    tasks = []
    for name in range(20):
        tasks.append(asyncio.create_task(passing(event, log, name)))
        await settle()
    event.set()
    await settle()
    return f"{len(log)} wake, in order: {yes(log == list(range(20)))}"


async def event_is_set():
    event = Event()
    event.set()
    set_ = await within(0.05, event.wait())
    event.clear()
    cleared = await within(0.05, event.wait())
    return f"passes when set: {set_}, when cleared: {cleared}"


async def event_set_and_cleared():
    event, log = Event(), []
    waiting = asyncio.create_task(passing(event, log, 1))
    await settle()
    event.set()
    event.clear()
    await settle()
    waiting.cancel()
    return f"the waiter is woken: {yes(log)}"


async def event_set_again():
    event, log = Event(), []
    waiting = asyncio.create_task(passing(event, log, 1))
    await settle()
    event.set()
    event.clear()
    event.set()
    event.set()
    await waiting
    return f"woken {len(log)} time"


async def event_without_waiter():
    event = Event()
    event.set()
    return f"set: {yes(event.is_set())}"


async def event_then_waiter():
    event = Event()
    event.set()
    return f"who comes later passes: {await within(0.05, event.wait())}"


# Condition.


async def waiting(condition, log, name):
    async with condition:
        await condition.wait()
        log.append(name)


async def three_waiting(condition, log, names=("a", "b", "c")):
    tasks = []
    for name in names:
        tasks.append(asyncio.create_task(waiting(condition, log, name)))
        await settle()
    return tasks


async def notify(condition, count):
    async with condition:
        condition.notify(count)
    await settle()


async def notify_some():
    condition, log = Condition(), []
    tasks = await three_waiting(condition, log)
    await notify(condition, 1)
    one = told(log)
    await notify(condition, 2)
    await asyncio.wait(tasks)
    return f"{one}; then {told(log)}"


async def notify_after_a_cancel():
    condition, log = Condition(), []
    tasks = await three_waiting(condition, log, ["a"])
    tasks[0].cancel()
    tasks = await three_waiting(condition, log, ["b"])
    await notify(condition, 1)
    await asyncio.wait(tasks)
    return told(log)


async def cancelled_after_the_notify():
    condition, log = Condition(), []
    tasks = await three_waiting(condition, log, ["a"])
    async with condition:
        condition.notify()
    tasks[0].cancel()
    await asyncio.wait(tasks)
    return f"cancelled: {yes(tasks[0].cancelled())}; [{told(log)}]"


async def notify_too_many():
    condition, log = Condition(), []
    tasks = await three_waiting(condition, log, ["a"])
    await notify(condition, 5)
    tasks += await three_waiting(condition, log, ["a later one"])
    tasks[1].cancel()
    return told(log)


async def notify_all():
    condition, log = Condition(), []
    tasks = await three_waiting(condition, log, ["a", "b"])
    async with condition:
        condition.notify_all()
    await settle()
    tasks += await three_waiting(condition, log, ["a later one"])
    tasks[2].cancel()
    return told(log)


async def notify_without_lock():
    condition, log = Condition(), []
    tasks = await three_waiting(condition, log, ["a"])
    try:
        condition.notify()
        await settle()
        return f"wakes {told(log)}"
    except RuntimeError:
        tasks[0].cancel()
        return "refused without the lock"


async def stock_of_one(cancel_first, notify):
    async def take():
        nonlocal stock
        async with condition:
            await condition.wait_for(lambda: stock > 0)
            # The lock is held.
            await settle()
            stock -= 1

    condition, stock = Condition(), 0
    tasks = []
    for _ in range(2):
        tasks.append(asyncio.create_task(take()))
        await settle()
    async with condition:
        stock = 1
        notify(condition)
    if cancel_first:
        tasks[0].cancel()
    await asyncio.sleep(0.1)
    tasks[1].cancel()
    return f"of one item {stock} are left"


async def wait_for_checks_again():
    async def wait():
        async with condition:
            return await condition.wait_for(lambda: state and "the value")

    condition, state = Condition(), False
    task = asyncio.create_task(wait())
    await settle()
    await notify(condition, 1)
    early = task.done()
    state = True
    await notify(condition, 1)
    return f"done too early: {yes(early)}; then {await task}"


async def wake_up_of_the_wrong_one():
    async def wait(wanted):
        async with condition:
            await condition.wait_for(lambda: state == wanted)

    condition, state = Condition(), 0
    tasks = []
    for wanted in [9, 1]:
        tasks.append(asyncio.create_task(wait(wanted)))
        await settle()
    state = 1
    await notify(condition, 1)
    done = sum(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    return f"{done} of 2 are done"


async def notifier_is_gone():
    condition = Condition()
    async with condition:
        await condition.wait_for(lambda: False)
    return "returns"


# Semaphore.


async def locked_for_the_woken():
    semaphore = Semaphore(1)
    await semaphore.acquire()
    waiting = asyncio.create_task(semaphore.acquire())
    await settle()
    semaphore.release()
    locked = yes(semaphore.locked())
    await waiting
    return f"locked: {locked}"


async def permit_is_passed_on():
    semaphore = Semaphore(0)
    tasks = []
    for _ in range(4):
        tasks.append(asyncio.create_task(semaphore.acquire()))
        await settle()
    tasks[0].cancel()
    semaphore.release()
    tasks[1].cancel()
    await settle()
    gets = any(task.done() and not task.cancelled() for task in tasks)
    tasks[3].cancel()
    return f"a waiter gets it: {yes(gets)}; free: {semaphore._value}"


async def fourth_waits():
    semaphore = Semaphore(3)
    before = yes(semaphore.locked())
    for _ in range(3):
        await semaphore.acquire()
    locked = yes(semaphore.locked())
    fourth = await within(0.05, semaphore.acquire())
    return f"locked: {before}, then {locked}; the fourth passes: {fourth}"


async def zero_is_locked():
    return f"locked: {yes(Semaphore(0).locked())}"


async def acquiring(semaphore, log, name, times):
    for _ in range(times):
        async with semaphore:
            log.append(name)
            await asyncio.sleep(0.05)


async def they_take_turns():
    semaphore, log = Semaphore(1), []
    tasks = []
    for name in ["a", "b", "c"]:
        tasks.append(asyncio.create_task(acquiring(semaphore, log, name, 2)))
        await settle()
    await asyncio.wait(tasks)
    return told(log)


async def cancelled_is_skipped():
    semaphore, log = Semaphore(0), []
    tasks = []
    for name in ["a", "b", "c"]:
        tasks.append(asyncio.create_task(acquiring(semaphore, log, name, 1)))
        await settle()
    tasks[0].cancel()
    await settle()
    semaphore.release()
    await asyncio.wait(tasks)
    return told(log)


async def permit_of_a_cancelled_holder():
    async def hold():
        async with semaphore:
            await asyncio.sleep(100)

    semaphore = Semaphore(1)
    holding = asyncio.create_task(hold())
    await settle()
    holding.cancel()
    await settle()
    return f"locked: {yes(semaphore.locked())}"


async def released_too_often(semaphore):
    try:
        semaphore.release()
        return f"the plain one has {semaphore._value}"
    except ValueError:
        return "the bounded one refuses"


# Barrier.


async def barrier_of_none():
    try:
        await Barrier(0).wait()
        return "passes"
    except ValueError:
        return "refused"


async def barrier_of_one():
    barrier = Barrier(1)
    await barrier.wait()
    await barrier.wait()
    return "passes twice"


async def barrier_twice():
    async def pass_twice():
        await barrier.wait()
        await barrier.wait()

    barrier = Barrier(3)
    await asyncio.gather(*(pass_twice() for _ in range(3)))
    return "all pass twice"


async def barrier_again():
    async def come(name):
        await barrier.wait()
        log.append(name)
        if name == "a":
            # The other one may not have left yet.
            await barrier.wait()
            log.append("a again")

    barrier, log = Barrier(2), []
    tasks = [asyncio.create_task(come(name)) for name in ["a", "b"]]
    await settle()
    first = sorted(log)
    tasks.append(asyncio.create_task(come("c")))
    await asyncio.wait(tasks)
    return f"{' '.join(first)}; then {' '.join(sorted(log[2:]))}"


async def barrier_broken():
    barrier = Barrier(3)
    before = yes(barrier.broken)
    await barrier.abort()
    return f"broken: {before}, then {yes(barrier.broken)}"


async def barrier_numbers():
    barrier = Barrier(3)
    numbers = await asyncio.gather(*(barrier.wait() for _ in range(3)))
    return f"the numbers are {told(map(str, sorted(numbers)))}"


async def barrier_cancelled():
    barrier = Barrier(2)
    first = await within(0.05, barrier.wait())
    second = await within(0.05, barrier.wait())
    return f"the first passes: {first}, the second alone: {second}"


async def fails(awaitable):
    try:
        await awaitable
        return False
    except asyncio.BrokenBarrierError:
        return True


async def barrier_aborted():
    barrier = Barrier(3)
    tasks = [asyncio.create_task(fails(barrier.wait())) for _ in range(2)]
    await settle()
    await barrier.abort()
    failed = sum(await asyncio.gather(*tasks))
    later = yes(await fails(barrier.wait()))
    return f"{failed} waiters fail; a later one fails: {later}"


async def barrier_aborted_last():
    passed = 0
    for _ in range(200):
        barrier = Barrier(1)
        await barrier.abort()
        passed += not await fails(barrier.wait())
    return "none of 200 passes" if passed == 0 else f"{passed} of 200 pass"


async def barrier_reset():
    barrier = Barrier(2)
    waiting = asyncio.create_task(fails(barrier.wait()))
    await settle()
    await barrier.reset()
    failed = yes(await waiting)
    passed = await asyncio.gather(fails(barrier.wait()), fails(barrier.wait()))
    return f"the waiter fails: {failed}; then {passed.count(False)} pass"


def probes():
    yield "lock.acquire.first-come-first-served", lock_in_order()
    yield "lock.acquire.cancelled-leaves-no-trace", lock_cancelled()
    yield "lock.acquire.cancelled-as-released", lock_cancelled_as_released()
    yield "lock.locked.follows", lock_locked()
    yield "lock.release.by-another-task", lock_released_by_another()
    yield "lock.acquire.not-reentrant", lock_twice()
    yield "lock.error.released", lock_after_an_error()
    yield "event.set.wakes-in-order", event_order()
    yield "event.wait.passes-when-set", event_is_set()
    yield "event.clear.after-set-wakes", event_set_and_cleared()
    yield "event.set.wakes-once", event_set_again()
    for counterpart in ["@send", "@send_replace"]:
        yield f"event.set.kept-without-waiter{counterpart}", event_without_waiter()
    yield "event.set.kept-without-waiter@Notify", event_then_waiter()
    yield "condition.notify.wakes-first-n", notify_some()
    yield "condition.wait.cancelled-leaves-no-trace", notify_after_a_cancel()
    clause = "condition.wait.cancelled-after-notify"
    yield clause, cancelled_after_the_notify()
    yield "condition.notify.no-more-than-wait", notify_too_many()
    yield "condition.notify_all.wakes-who-wait", notify_all()
    yield "condition.notify.needs-lock", notify_without_lock()
    for counterpart in ["", "@in-check"]:
        stock = stock_of_one(False, Condition.notify_all)
        yield f"condition.wait.holds-lock{counterpart}", stock
    yield "condition.wait_for.checks-again@wait_for", wait_for_checks_again()
    stock = stock_of_one(True, Condition.notify)
    yield "condition.wait.cancelled-passes-on@wait_for", stock
    yield "condition.notify.wrong-waiter@wait_for", wake_up_of_the_wrong_one()
    yield "condition.wait_for.notifier-gone@watch", notifier_is_gone()
    yield "semaphore.value.zero-is-locked", zero_is_locked()
    yield "semaphore.acquire.waits-at-limit", fourth_waits()
    yield "semaphore.acquire.takes-turns", they_take_turns()
    yield "semaphore.acquire.cancelled-first-skipped", cancelled_is_skipped()
    yield "semaphore.locked.for-the-woken", locked_for_the_woken()
    yield "semaphore.acquire.cancelled-passes-on", permit_is_passed_on()
    yield "semaphore.acquire.cancelled-holder", permit_of_a_cancelled_holder()
    yield "semaphore.release.raises-value", released_too_often(Semaphore(1))
    bounded = released_too_often(BoundedSemaphore(1))
    yield "bounded_semaphore.release.refused@add_permits", bounded
    yield "barrier.parties.zero-refused", barrier_of_none()
    yield "barrier.parties.one-never-waits", barrier_of_one()
    yield "barrier.wait.all-pass-twice", barrier_twice()
    yield "barrier.wait.again-while-others-leave", barrier_again()
    yield "barrier.broken.tells", barrier_broken()
    yield "barrier.wait.returns-number", barrier_numbers()
    yield "barrier.wait.cancelled-not-counted", barrier_cancelled()
    yield "barrier.abort.wakes-waiters@run_until_cancelled", barrier_aborted()
    for counterpart in ["@run_until_cancelled", "@select"]:
        yield f"barrier.abort.last-party-fails{counterpart}", barrier_aborted_last()
    yield "barrier.reset.wakes-waiters@swap", barrier_reset()


run(probes, 10)
