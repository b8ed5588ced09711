# /// script
# requires-python = ">=3.11"
# dependencies = ["tzdata"]
# ///
import asyncio
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

LONGEST_SLEEP = 60


def between(start, end):
    # In one zone, Python subtracts what the clocks show: a change of them is not counted.
    return end.astimezone(UTC) - start.astimezone(UTC)


def later(moment, delta):
    return (moment.astimezone(UTC) + delta).astimezone(moment.tzinfo)


def next_daily(after, at):
    """Returns the first moment after this one at which the clocks show the time."""
    date = after.date()
    while True:
        due = later(datetime.combine(date, at, after.tzinfo), timedelta(0))
        if between(after, due) > timedelta(0):
            return due
        date += timedelta(days=1)


async def run_on_schedule(now, following, stop, job):
    """Runs the job each time that it is due, and never twice at once."""
    last = now()
    while True:
        due = following(max(now(), last, key=datetime.timestamp))
        if await comes_before(stop, due, now):
            return
        await job(due)
        last = due


async def comes_before(stop, due, now):
    while not stop.is_set():
        left = between(now(), due).total_seconds()
        if left <= 0:
            return False
        try:
            async with asyncio.timeout(min(left, LONGEST_SLEEP)):
                await stop.wait()
        except TimeoutError:
            # The clock may have been set, or the computer may have slept.
            pass
    return True


class Clock:
    """A wall clock that can be set."""

    def __init__(self, shows):
        self._loop = asyncio.get_running_loop()
        self.set(shows)

    def set(self, shows):
        self._shows, self._at = shows, self._loop.time()

    def now(self):
        return later(self._shows, timedelta(seconds=self._loop.time() - self._at))


MOMENT = timedelta(seconds=0.1)
BERLIN = ZoneInfo("Europe/Berlin")


def show(moment):
    offset = moment.strftime("%z")
    return f"{moment:%Y-%m-%d %H:%M} {offset[:3]}:{offset[3:]}"


async def nights(evening, at, number):
    """Runs a job for some nights, each time a moment after the clock was set."""
    clock = Clock(later(next_daily(evening, at), -MOMENT))
    stop = asyncio.Event()
    runs = []

    async def job(due):
        if runs:
            hours = between(runs[-1], due) // timedelta(hours=1)
            print(f"{show(due)}, {hours} hours later")
        else:
            print(show(due))
        runs.append(due)
        if len(runs) < number:
            clock.set(later(next_daily(due, at), -MOMENT))
        else:
            stop.set()

    await run_on_schedule(clock.now, lambda after: next_daily(after, at), stop, job)


async def one_night(during):
    """Runs a job once an hour before midnight, and calls `during` while it runs."""
    at = time(23)
    clock = Clock(later(datetime(2026, 5, 1, 23, tzinfo=BERLIN), -MOMENT))
    stop = asyncio.Event()

    async def job(due):
        print(f"{show(due)}: begins")
        during(clock, due, stop)
        await asyncio.sleep(0.1)
        print(f"{show(due)}: is done")

    async def stopping():
        await asyncio.sleep(0.5)
        stop.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(
            run_on_schedule(clock.now, lambda after: next_daily(after, at), stop, job)
        )
        group.create_task(stopping())
    print("stopped")


async def main():
    print("Every night at three, in Berlin:")
    await nights(datetime(2026, 3, 27, 12, tzinfo=BERLIN), time(3), 4)
    print("At half past two, which the clocks skip on the 29th:")
    await nights(datetime(2026, 3, 27, 12, tzinfo=BERLIN), time(2, 30), 3)
    print("At half past two, which comes twice on the 25th:")
    await nights(datetime(2026, 10, 23, 12, tzinfo=BERLIN), time(2, 30), 3)

    def takes_two_days(clock, due, _):
        if due.day == 1:
            clock.set(later(due, timedelta(hours=48) - 2 * MOMENT))

    print("A run that takes two days:")
    await one_night(takes_two_days)
    print("The clock is set back during a run:")
    await one_night(lambda clock, due, _: clock.set(later(due, -2 * MOMENT)))
    print("Stopped during a run:")
    await one_night(lambda _, due, stop: stop.set())


asyncio.run(main())
