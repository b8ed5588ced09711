import asyncio


class Pool:
    """Runs a limited number of jobs at once."""

    def __init__(self, jobs):
        self._places = asyncio.Semaphore(jobs)
        self._tasks = set()
        self._is_shut_down = False

    async def submit(self, function, *args):
        """Waits for a place, starts the job and returns its task."""
        await self._places.acquire()
        if self._is_shut_down:
            self._places.release()
            raise RuntimeError("the pool is shut down")
        task = asyncio.create_task(function(*args))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task):
        self._tasks.discard(task)
        self._places.release()

    async def shutdown(self):
        self._is_shut_down = True
        if self._tasks:
            await asyncio.wait(self._tasks)


async def square(number):
    print(f"Job {number} starts")
    await asyncio.sleep(0.1)
    if number == 3:
        raise ValueError(f"job {number} failed")
    return number * number


async def main():
    pool = Pool(2)
    jobs = []
    for number in range(1, 5):
        jobs.append(await pool.submit(square, number))
    for job in jobs:
        try:
            print(f"Result {await job}")
        except ValueError as error:
            print(f"Error: {error}")
    await pool.shutdown()
    try:
        await pool.submit(square, 5)
    except RuntimeError:
        print("The pool is shut down")


asyncio.run(main())
