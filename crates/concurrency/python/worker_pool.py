import asyncio
import sys
from functools import partial

if sys.version_info >= (3, 13):
    from asyncio import Queue, QueueShutDown
else:

    class QueueShutDown(Exception):
        pass

    class Queue(asyncio.Queue):
        """Adds the `shutdown` of Python 3.13, as far as it is used here."""

        is_shut_down = False

        def shutdown(self):
            self.is_shut_down = True
            for waiters in self._getters, self._putters:
                while waiters:
                    self._wakeup_next(waiters)

        # So that a waiting `get` or `put` goes on to `get_nowait` or `put_nowait`.
        def empty(self):
            return not self.is_shut_down and super().empty()

        def full(self):
            return not self.is_shut_down and super().full()

        def get_nowait(self):
            if self.is_shut_down and not self.qsize():
                raise QueueShutDown
            return super().get_nowait()

        def put_nowait(self, item):
            if self.is_shut_down:
                raise QueueShutDown
            super().put_nowait(item)


class WorkerPool:
    """A few workers on one bounded queue. As in an executor, `submit` returns a future.

    Without an error the end of the `async with` waits for all jobs, else it stops them.
    """

    def __init__(self, workers, waiting, work):
        self._work = work
        self._jobs = Queue(waiting)
        self._workers = [
            asyncio.create_task(self._worker()) for _ in range(workers)
        ]

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, error, traceback):
        if kind is not None:
            await self.stop()
        self._jobs.shutdown()
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def submit(self, job):
        """Waits until there is room, and returns a future of the result."""
        result = asyncio.get_running_loop().create_future()
        await self._jobs.put((job, result))
        return result

    async def stop(self):
        """Cancels the running jobs, and those in the queue."""
        self._jobs.shutdown()
        while self._jobs.qsize():
            _, result = self._jobs.get_nowait()
            result.cancel()
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def _worker(self):
        while True:
            try:
                job, result = await self._jobs.get()
            except QueueShutDown:
                return
            try:
                value = await self._work(job)
                if not result.cancelled():
                    result.set_result(value)
            except Exception as error:
                if not result.cancelled():
                    result.set_exception(error)
            finally:
                # Only if this worker is cancelled has the future no result yet.
                result.cancel()


class NotFound(Exception):
    pass


async def fetch(page):
    path, delay = page
    print(f"fetching {path}")
    await asyncio.sleep(delay)
    match path:
        case "/0":
            raise AssertionError(f"{path} has no host")
        case "/missing":
            raise NotFound("404")
        case _:
            return f"the page {path}"


def report(number, result):
    """Prints the result of a job, unless it was cancelled."""
    if result.cancelled():
        return
    match result.exception():
        case None:
            print(f"{number}: {result.result()}")
        case NotFound() as error:
            print(f"{number}: error {error}")
        case error:
            print(f"{number}: the job panicked: {error}")


async def submit_all(pool, pages):
    """Submits the pages, 50 ms apart, and ends when the pool is stopped."""
    for number, page in enumerate(pages):
        await asyncio.sleep(0.05)
        print(f"job {number} is ready")
        try:
            result = await pool.submit(page)
        except QueueShutDown:
            print(f"too late for {number}: {page[0]}")
            return
        result.add_done_callback(partial(report, number))


async def main():
    print("Two workers, six jobs:")
    pages = [("/a", 0.55), ("/0", 0.15), ("/b", 0.2), ("/missing", 0.25)]
    pages += [("/c", 0.2), ("/d", 0.2)]
    async with WorkerPool(2, 1, fetch) as pool:
        await submit_all(pool, pages)
    print("no more results")

    print("Stopped after 0.35 s:")
    pages = [("/e", 0.2), ("/f", 0.5), ("/g", 0.4), ("/h", 0.1), ("/i", 0.1)]
    async with WorkerPool(2, 1, fetch) as pool, asyncio.TaskGroup() as group:
        group.create_task(submit_all(pool, pages))
        await asyncio.sleep(0.35)
        await pool.stop()
    print("no more results")
    await asyncio.sleep(0.5)
    print("0.5 s later")


asyncio.run(main())
