import heapq
import time
from itertools import count


class Sleep:
    """Is ready from this moment on."""

    def __init__(self, due):
        self._due = due

    def __await__(self):
        if time.monotonic() < self._due:
            yield self._due


def run_all(*coroutines):
    """Resumes each coroutine when its time has come, until all have returned."""
    number = count()
    timers = [(0, next(number), coroutine) for coroutine in coroutines]
    while timers:
        due, _, coroutine = heapq.heappop(timers)
        time.sleep(max(0, due - time.monotonic()))
        try:
            due = coroutine.send(None)
        except StopIteration:
            continue
        heapq.heappush(timers, (due, next(number), coroutine))


async def worker(name, delay):
    for step in (1, 2):
        print(f"{name}: step {step}")
        await Sleep(time.monotonic() + delay)
    print(f"{name}: done")


run_all(worker("A", 0.2), worker("B", 0.3))
