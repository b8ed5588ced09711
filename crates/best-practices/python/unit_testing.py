import asyncio
import unittest
from unittest.mock import AsyncMock


class Source:
    """A source of numbers: in the program a server or files, in a test a fake."""

    async def fetch(self, page):
        raise NotImplementedError


class NotFound(Exception):
    def __init__(self, page):
        super().__init__(f"there is no page {page}")


class Calculator:
    TIMEOUT = 2

    def __init__(self, source):
        self.source = source

    async def fetch_and_add(self, page, number):
        try:
            async with asyncio.timeout(self.TIMEOUT):
                fetched = await self.source.fetch(page)
        except TimeoutError:
            raise TimeoutError("no answer in time") from None
        return fetched + number


def fake(answer, delay):
    """Returns a calculator whose source gives a fixed answer after a delay."""

    async def fetch(page):
        await asyncio.sleep(delay)
        if isinstance(answer, Exception):
            raise answer
        return answer

    source = AsyncMock(spec=Source)
    source.fetch.side_effect = fetch
    return Calculator(source)


def asked(calculator):
    return [call.args[0] for call in calculator.source.fetch.await_args_list]


async def report(calculator):
    try:
        print(f"sum: {await calculator.fetch_and_add('/data', 10)}")
    except (NotFound, TimeoutError) as error:
        print(f"error: {error}")
    print(f"asked for: [{', '.join(asked(calculator))}]")


async def main():
    print("The source answers 42 after a second:")
    await report(fake(42, 1))

    print("The source has no such page:")
    await report(fake(NotFound("/data"), 0.1))

    print("The source answers just before the limit of 2 s, and then after it:")
    for delay in (1.9, 2.1):
        await report(fake(42, delay))

    print("The await is forgotten, and nothing warns:")
    calculator = fake(42, 1)
    forgotten = calculator.fetch_and_add("/data", 10)
    await asyncio.sleep(1)
    print(f"asked for: [{', '.join(asked(calculator))}]")
    forgotten.close()  # or Python does warn, when it collects it


class Tests(unittest.IsolatedAsyncioTestCase):
    """For `python -m unittest`. Unlike Tokio's, its clock cannot be paused."""

    async def test_adds_to_the_number_on_the_page(self):
        calculator = fake(42, 0)
        self.assertEqual(await calculator.fetch_and_add("/data", 10), 52)
        calculator.source.fetch.assert_awaited_once_with("/data")

    async def test_returns_the_error_of_the_source(self):
        with self.assertRaisesRegex(NotFound, "/data"):
            await fake(NotFound("/data"), 0).fetch_and_add("/data", 10)

    async def test_times_out(self):
        calculator = fake(42, 60)
        calculator.TIMEOUT = 0
        with self.assertRaises(TimeoutError):
            await calculator.fetch_and_add("/data", 10)


if __name__ == "__main__":
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Tests).run(result)
    if result.testsRun != 3 or not result.wasSuccessful():
        raise SystemExit(f"{result}: {result.errors + result.failures}")
    asyncio.run(main())
