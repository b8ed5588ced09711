# /// script
# requires-python = ">=3.11"
# dependencies = ["aiofiles"]
# ///
import asyncio
import concurrent.futures
import contextlib
import itertools
import pathlib
import struct
import tempfile

import aiofiles


class CountingExecutor(concurrent.futures.ThreadPoolExecutor):
    """Counts what is sent to its threads."""

    trips = 0

    def submit(self, *args, **kwargs):
        self.trips += 1
        return super().submit(*args, **kwargs)


@contextlib.asynccontextmanager
async def open_counted(path):
    with CountingExecutor() as executor:
        async with aiofiles.open(path, "rb", executor=executor) as file:
            executor.trips = 0
            yield file, executor


def number(data):
    if len(data) < 4:
        raise EOFError
    return int.from_bytes(data, "big")


async def sum_unbuffered(path):
    """A trip for each number."""
    async with open_counted(path) as (file, executor):
        count = number(await file.read(4))
        total = 0
        for _ in range(count):
            total += number(await file.read(4))
        return total, executor.trips


async def sum_buffered(path, capacity):
    """A trip for each chunk."""
    async with open_counted(path) as (file, executor):
        # Unlike bytes, it is not copied whole to be made longer.
        data = bytearray()
        size = 4
        while len(data) < size:
            chunk = await file.read(capacity)
            if not chunk:
                raise EOFError
            data += chunk
            if len(data) >= 4:
                size = 4 + 4 * number(data[:4])
        return sum_of_bytes(data), executor.trips


def sum_of_bytes(data):
    count = number(data[:4])
    if len(data) < 4 + 4 * count:
        raise EOFError
    return sum(struct.unpack_from(f">{count}I", data, 4))


async def sum_of_whole(path):
    """One trip, and then no file."""
    return sum_of_bytes(await asyncio.to_thread(path.read_bytes))


async def sum_in_thread(path):
    """One trip with all that there is to do."""

    def read_and_sum():
        with open(path, "rb") as file:
            count = number(file.read(4))
            return sum(number(file.read(4)) for _ in range(count))

    return await asyncio.to_thread(read_and_sum)


def file_of_numbers(said, count):
    """The numbers below count, after what is said to be their number."""
    numbers = itertools.chain([said], range(count))
    return b"".join(number.to_bytes(4, "big") for number in numbers)


async def fastest(work):
    """The shortest of five times, so that what else the machine does counts less."""
    loop = asyncio.get_running_loop()
    times = []
    for _ in range(5):
        start = loop.time()
        result = await work()
        times.append(loop.time() - start)
    return result, min(times)


def times_as_long(long, short):
    """How many times as long, up to five: more is not the same in each run."""
    return int(min(long / short, 5))


async def first(work):
    total, _ = await work
    return total


async def main():
    loop = asyncio.get_running_loop()
    begin = loop.time()

    async def part(number):
        await asyncio.sleep(begin + number - loop.time())

    print("Number by number:")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "numbers")
        path.write_bytes(file_of_numbers(2048, 2048))
        start = loop.time()
        total, trips = await sum_unbuffered(path)
        unbuffered = loop.time() - start
        await part(1)
        print(f"sum {total}, trips: {trips}")

        print("Through a buffer:")
        (total, trips), buffered = await fastest(lambda: sum_buffered(path, 8 * 1024))
        same_total, fewer_trips = await sum_buffered(path, 64 * 1024)
        await part(2)
        print(f"sum {total}, trips with 8 KiB: {trips}")
        print(f"sum {same_total}, trips with 64 KiB: {fewer_trips}")
        times = times_as_long(unbuffered, buffered)
        print(f"number by number takes {times} times as long or more")

        print("The whole file, and the loop in a thread:")
        whole = await sum_of_whole(path)
        total, in_thread = await fastest(lambda: sum_in_thread(path))
        await part(3)
        print(f"sum {whole}, sum {total}")
        times = times_as_long(unbuffered, in_thread)
        print(f"number by number takes {times} times as long or more")

        print("A file that ends too early:")
        path.write_bytes(file_of_numbers(4, 3))
        results = await asyncio.gather(
            first(sum_unbuffered(path)),
            first(sum_buffered(path, 8 * 1024)),
            sum_of_whole(path),
            sum_in_thread(path),
            return_exceptions=True,
        )
        await part(4)
        for result in results:
            match result:
                case EOFError():
                    print("a number is missing")
                case BaseException():
                    raise result
                case total:
                    print(f"sum {total}")


asyncio.run(main())
