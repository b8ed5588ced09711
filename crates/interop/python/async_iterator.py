import asyncio
from contextlib import aclosing

try:
    from async_iterator_rs import Rows, total
except ImportError:

    class Rows:
        def __init__(self, count, ahead):
            self.queue = asyncio.Queue(ahead)
            self.task = asyncio.create_task(self.read(count))

        async def read(self, count):
            for row in range(count):
                await asyncio.sleep(0.01)
                await self.queue.put(row)
            await self.queue.put(None)

        def __aiter__(self):
            return self

        async def __anext__(self):
            if self.task.cancelled() or (row := await self.queue.get()) is None:
                raise StopAsyncIteration
            return row

        async def aclose(self):
            self.task.cancel()
            await asyncio.wait([self.task])

    async def total(rows, most):
        sum = 0
        async with aclosing(rows):
            async for row in rows:
                sum += row
                if sum >= most:
                    break
        return sum


async def main():
    async for row in Rows(3, 1):
        print("row", row)
    async with aclosing(Rows(1000, 1)) as rows:
        async for row in rows:
            print("row", row)
            if row == 1:
                break
    print("left:", [row async for row in rows])

    async def numbers():
        try:
            for number in range(100):
                await asyncio.sleep(0.01)
                yield number
        finally:
            print("generator closed")

    print("total", await total(numbers(), 10))


if __name__ == "__main__":
    asyncio.run(main())
