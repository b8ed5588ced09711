# cancel: no (before 3.13, a TaskGroup that ends with errors loses a cancellation)
import asyncio
from dataclasses import dataclass, replace


class NoPage(Exception):
    pass


class DiskFull(Exception):
    pass


@dataclass(frozen=True)
class Worker:
    name: str
    fetch_delay: float
    save_delay: float
    no_page: bool = False
    disk_full: bool = False

    async def fetch(self):
        await asyncio.sleep(self.fetch_delay)
        if self.no_page:
            raise NoPage(f"{self.name}: no such page")

    async def save(self):
        await asyncio.sleep(self.save_delay)
        if self.disk_full:
            raise DiskFull(f"{self.name}: the disk is full")
        print(f"{self.name} has saved")

    async def run(self):
        try:
            await self.fetch()
        except asyncio.CancelledError:
            await self.save()
            raise
        await self.save()


async def run_workers(workers):
    async with asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(worker.run())


def report(group):
    errors = "; ".join(str(error) for error in group.exceptions)
    print(f"{len(group.exceptions)} failed: {errors}")


async def main():
    a = Worker("A", 0.3, 0.1)
    b = Worker("B", 0.1, 0.1, no_page=True)
    c = Worker("C", 0.4, 0.2, disk_full=True)

    print("A worker fails, and the other stops after it has saved:")
    try:
        await run_workers([a, b])
    except ExceptionGroup as errors:
        report(errors)

    print("Others fail while they stop:")
    a = replace(a, disk_full=True)
    try:
        await run_workers([a, b, c])
    except ExceptionGroup as errors:
        report(errors)

    print("One kind is handled, the rest is passed on:")
    try:
        try:
            await run_workers([a, b, c])
        except* DiskFull as errors:
            print(f"{len(errors.exceptions)} to be saved elsewhere")
    except ExceptionGroup as errors:
        report(errors)

    print("Both kinds are handled:")
    try:
        await run_workers([a, b, c])
    except* DiskFull as errors:
        print(f"{len(errors.exceptions)} to be saved elsewhere")
    except* NoPage as errors:
        print(f"{len(errors.exceptions)} ignored")
    print("nothing is left to handle")


asyncio.run(main())
