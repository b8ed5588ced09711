import asyncio


class Closed(Exception):
    pass


class WorkerPool:
    """A few workers on one queue; their results come as they complete."""

    def __init__(self, workers, waiting, work):
        self._work = work
        self._jobs = asyncio.Queue(waiting)
        self._results = asyncio.Queue(waiting)
        self._closed = False
        self._stopped = asyncio.Event()
        self._workers = [
            asyncio.create_task(self._worker()) for _ in range(workers)
        ]

    async def submit(self, key, job):
        if self._closed:
            raise Closed(key, job)
        await self._jobs.put((key, job))
        # It may have been stopped while this waited for room.
        if self._closed:
            self._drop_job()
            raise Closed(key, job)

    async def finish(self):
        """Waits until all jobs are done, and ends the results."""
        await self._jobs.join()
        await self.stop()

    async def stop(self):
        """Cancels the running jobs, drops the others, and ends the results."""
        self._closed = True
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        while not self._jobs.empty():
            self._drop_job()
        self._stopped.set()

    async def results(self):
        """Yields the results, also those that come after a `stop`, and then ends."""
        stopped = asyncio.create_task(self._stopped.wait())
        try:
            while not (self._stopped.is_set() and self._results.empty()):
                result = asyncio.create_task(self._results.get())
                try:
                    await asyncio.wait(
                        {result, stopped}, return_when=asyncio.FIRST_COMPLETED
                    )
                    if result.done():
                        yield result.result()
                finally:
                    result.cancel()
        finally:
            stopped.cancel()

    def _drop_job(self):
        self._jobs.get_nowait()
        self._jobs.task_done()

    async def _worker(self):
        while True:
            key, job = await self._jobs.get()
            try:
                await self._results.put((key, await self._result(job)))
            finally:
                self._jobs.task_done()

    async def _result(self, job):
        try:
            return await self._work(job)
        except Exception as error:
            return error


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
    match result:
        case NotFound():
            print(f"{number}: error {result}")
        case Exception():
            print(f"{number}: the job panicked: {result}")
        case page:
            print(f"{number}: {page}")


async def submit_all(pool, pages):
    """Submits the pages, 50 ms apart, and ends when the pool is stopped."""
    for number, page in enumerate(pages):
        await asyncio.sleep(0.05)
        print(f"job {number} is ready")
        try:
            await pool.submit(number, page)
        except Closed as closed:
            number, (path, _) = closed.args
            print(f"too late for {number}: {path}")
            return
    await pool.finish()


async def main():
    print("Two workers, six jobs:")
    pool = WorkerPool(2, 1, fetch)
    pages = [("/a", 0.55), ("/0", 0.15), ("/b", 0.2), ("/missing", 0.25)]
    pages += [("/c", 0.2), ("/d", 0.2)]
    submitting = asyncio.create_task(submit_all(pool, pages))
    async for number, result in pool.results():
        report(number, result)
    await submitting
    print("no more results")

    print("Stopped 0.1 s after the first result:")
    pool = WorkerPool(2, 1, fetch)
    pages = [("/e", 0.2), ("/f", 0.5), ("/g", 0.4), ("/h", 0.1)]
    pages += [("/i", 0.1)]
    submitting = asyncio.create_task(submit_all(pool, pages))
    async for number, result in pool.results():
        report(number, result)
        break
    await asyncio.sleep(0.1)
    await pool.stop()
    await submitting
    async for number, result in pool.results():
        report(number, result)
    print("no more results")
    await asyncio.sleep(0.5)
    print("0.5 s later")


asyncio.run(main())
