import asyncio
import os
import signal


def listen():
    """Puts the names of the signals that come into a queue."""
    loop = asyncio.get_running_loop()
    signals = asyncio.Queue()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signals.put_nowait, number.name)
    return signals


class Unfinished(Exception):
    def __init__(self, why, names):
        super().__init__(f"{why}, and these had not ended: {', '.join(names)}")


class Refused(Exception):
    pass


async def drain(tasks, limit, signals):
    """Waits for the tasks, but not for long, and not after a further signal."""
    if not tasks:
        return
    all_ended = asyncio.create_task(asyncio.wait(tasks))
    further = asyncio.create_task(signals.get())
    try:
        await asyncio.wait(
            {all_ended, further}, timeout=limit, return_when=asyncio.FIRST_COMPLETED
        )
        if all_ended.done():
            return
        if further.done():
            why = f"{further.result()} came again"
        else:
            why = f"{limit * 1000:.0f}ms are over"
        unfinished = [task for task in tasks if not task.done()]
        for task in unfinished:
            task.cancel()
        raise Unfinished(why, sorted(task.get_name() for task in unfinished))
    finally:
        all_ended.cancel()
        further.cancel()


class Shop:
    """Takes orders until a signal comes, and gives those that have begun time to end."""

    def __init__(self):
        self._stop = asyncio.Event()
        self._tasks = set()
        self._start(keep_log(self._stop), "log")

    def _start(self, work, name):
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task):
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            print(f"{task.get_name()} crashed")

    def take(self, number, seconds):
        if self._stop.is_set():
            raise Refused(f"order {number} is refused")
        self._start(handle(number, seconds), f"order {number}")

    async def serve(self, signals, limit):
        name = await signals.get()
        print(f"{name}: no more orders, {len(self._tasks)} tasks left")
        self._stop.set()
        await drain(set(self._tasks), limit, signals)


async def handle(number, seconds):
    print(f"order {number} begins")
    await asyncio.sleep(seconds)
    print(f"order {number} is done")


async def keep_log(stop):
    await stop.wait()
    await asyncio.sleep(0.5)
    print("the log is written")


async def send(shop, first, seconds):
    loop = asyncio.get_running_loop()
    due = loop.time()
    for number, duration in enumerate(seconds, first):
        due += 0.5
        await asyncio.sleep(due - loop.time())
        try:
            shop.take(number, duration)
        except Refused as refused:
            print(refused)


async def send_signal(after, number):
    await asyncio.sleep(after)
    os.kill(os.getpid(), number)


def report_end(served):
    match served:
        case Unfinished():
            print(served)
        case _:
            print("all has ended")


async def main():
    loop = asyncio.get_running_loop()
    begin = loop.time()

    async def part(seconds):
        await asyncio.sleep(begin + seconds - loop.time())

    limit, long = 0.9, 30
    stuck = 100

    print("Once listened for, a signal ends nothing by itself:")
    signals = listen()
    await send_signal(0, signal.SIGINT)
    await asyncio.sleep(0.1)
    print("still here")
    # The handler stays: only remove_signal_handler brings the default back.
    del signals
    await send_signal(0, signal.SIGINT)
    await asyncio.sleep(0.1)
    print("still running, although nothing handles the signal now")
    signals = listen()

    await part(0.5)
    print("SIGTERM, and all work ends in time:")
    shop = Shop()
    served, *_ = await asyncio.gather(
        shop.serve(signals, long),
        send(shop, 1, [0.8, 0.1, 1, 0.5]),
        send_signal(1.75, signal.SIGTERM),
        return_exceptions=True,
    )
    report_end(served)

    await part(3.5)
    print("SIGINT, and two orders do not end in time:")
    shop = Shop()
    served, *_ = await asyncio.gather(
        shop.serve(signals, limit),
        send(shop, 5, [stuck, stuck]),
        send_signal(1.25, signal.SIGINT),
        return_exceptions=True,
    )
    report_end(served)

    await part(6.5)
    print("SIGINT twice:")
    shop = Shop()
    served, *_ = await asyncio.gather(
        shop.serve(signals, long),
        send(shop, 7, [stuck]),
        send_signal(0.75, signal.SIGINT),
        send_signal(0.85, signal.SIGINT),
        return_exceptions=True,
    )
    report_end(served)


asyncio.run(main())
