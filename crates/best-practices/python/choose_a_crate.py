# /// script
# requires-python = ">=3.11"
# dependencies = ["aiolimiter", "async-lru", "tenacity"]
# ///
import asyncio

from aiolimiter import AsyncLimiter
from async_lru import alru_cache
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential


class Busy(Exception):
    pass


class Refused(Exception):
    pass


@retry(
    retry=retry_if_exception_type(Busy),
    stop=stop_after_attempt(4),
    wait=wait_exponential(multiplier=0.1),
    reraise=True,
)
async def with_tenacity(error):
    print("called")
    raise error


async def with_aiolimiter():
    """How many of twenty calls get through in 0.9 s."""
    limiter = AsyncLimiter(max_rate=5, time_period=1)
    through = 0

    async def call():
        nonlocal through
        async with limiter:
            through += 1

    try:
        async with asyncio.timeout(0.9):
            await asyncio.gather(*(call() for _ in range(20)))
    except TimeoutError:
        pass
    return through


async def with_async_lru(gives_up):
    """How often three concurrent callers load the price, if the first gives up."""
    loads = 0

    @alru_cache(maxsize=100, ttl=60)
    async def price(number):
        nonlocal loads
        loads += 1
        await asyncio.sleep(0.2)
        return 250

    async def first():
        try:
            return await asyncio.wait_for(price(1), gives_up)
        except TimeoutError:
            return "gave up"

    prices = await asyncio.gather(first(), price(1), price(1))
    print("prices:", ", ".join(map(str, prices)))
    return loads


async def main():
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def part(number):
        await asyncio.sleep(start + number - loop.time())

    for number, error in enumerate([Busy("busy"), Refused("refused")]):
        await part(number)
        print("Three retries:")
        try:
            await with_tenacity(error)
        except (Busy, Refused) as error:
            print(error)

    await part(2)
    print("A burst of five, and one more each 0.2 s:")
    print(f"{await with_aiolimiter()} of 20 within 0.9 s")

    for number, gives_up in enumerate([0.5, 0.1], start=3):
        await part(number)
        print(f"Three load a price; the first gives up after {gives_up * 1000:.0f}ms:")
        print(f"loads: {await with_async_lru(gives_up)}")


asyncio.run(main())
