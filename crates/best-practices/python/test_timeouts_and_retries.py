import asyncio
import selectors


async def retry(call):
    """What is tested: three calls at most, with a second for each, and pauses."""
    pause = 2
    for number in range(1, 4):
        try:
            async with asyncio.timeout(1):
                if (answer := await call(number)) is not None:
                    return answer
        except TimeoutError:
            pass
        if number < 3:
            await asyncio.sleep(pause)
            pause *= 2
    return None


class PausedLoop(asyncio.SelectorEventLoop):
    """Its clock moves to the next timer whenever all tasks wait."""

    def __init__(self):
        super().__init__(SkippingSelector(self))
        self.now = 0

    def time(self):
        return self.now


class SkippingSelector(selectors.DefaultSelector):
    def __init__(self, loop):
        super().__init__()
        self.loop = loop

    def select(self, timeout=None):
        if timeout:
            self.loop.now += timeout
        return super().select(timeout and 0)


async def advance(seconds):
    asyncio.get_running_loop().now += seconds
    await asyncio.sleep(0)


async def advance_in_steps(steps, step):
    for _ in range(steps):
        await advance(step)
        await settle()


async def settle():
    for _ in range(100):
        await asyncio.sleep(0)


async def call(number, start):
    print(f"{asyncio.get_running_loop().time() - start:>2.0f} s: call {number}")
    match number:
        case 1:
            await asyncio.Event().wait()
        case 2:
            return None
    return "the answer"


def spawn_retry():
    start = asyncio.get_running_loop().time()
    return asyncio.create_task(retry(lambda number: call(number, start)))


def report(task):
    print("finished" if task.done() else "not finished")


async def alone():
    print(await spawn_retry())


async def before_it_has_begun():
    task = spawn_retry()
    await advance(10)
    print(await task)


async def in_one_step():
    task = spawn_retry()
    await settle()
    await advance(10)
    print(await task)


async def in_ten_steps():
    task = spawn_retry()
    await settle()
    await advance_in_steps(10, 1)
    report(task)
    print(await task)


async def by_sleeping():
    task = spawn_retry()
    await asyncio.sleep(10)
    report(task)


async def due_and_not_run():
    task = asyncio.create_task(asyncio.sleep(1))
    await settle()
    await advance(1)
    report(task)
    await settle()
    report(task)


for heading, test in [
    ("All tasks wait, so the clock moves by itself:", alone),
    ("The clock moves by 10 s before the task starts:", before_it_has_begun),
    ("The clock moves by 10 s in one step:", in_one_step),
    ("The clock moves by 10 s in ten steps:", in_ten_steps),
    ("The test sleeps for 10 s instead:", by_sleeping),
    ("A timer is due, but its task has not run yet:", due_and_not_run),
]:
    print(heading)
    with asyncio.Runner(loop_factory=PausedLoop) as runner:
        runner.run(test())
