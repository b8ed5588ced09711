import asyncio
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor

PORTION = 0.1


def is_prime(number):
    divisors = range(2, int(number**0.5) + 1)
    return number > 1 and all(number % divisor for divisor in divisors)


def primes_in(thousand):
    until = time.perf_counter() + PORTION
    numbers = range(thousand * 1000, (thousand + 1) * 1000)
    primes = sum(map(is_prime, numbers))
    time.sleep(max(until - time.perf_counter(), 0))
    return primes


def count_primes(thousands):
    return sum(map(primes_in, thousands))


def share(flag):
    """Runs first in each process of a pool."""
    global stop
    stop = flag


def count_until_stopped(thousands):
    primes = 0
    for thousand in thousands:
        if stop.is_set():
            break
        primes += primes_in(thousand)
    return primes


async def heartbeat():
    for beat in range(1, 4):
        print(f"heartbeat {beat}")
        await asyncio.sleep(0.1)


async def main():
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def part(number):
        await asyncio.sleep(start + 0.3 + 0.8 * number - loop.time())

    flag = multiprocessing.Event()
    with (
        ProcessPoolExecutor(max_workers=2) as pool,
        ProcessPoolExecutor(1, initializer=share, initargs=[flag]) as single,
    ):
        # A process takes a while to start.
        starts = [each.submit(time.sleep, 0.05) for each in (pool, pool, single)]
        await asyncio.gather(*map(asyncio.wrap_future, starts))

        await part(0)
        print("A heartbeat beside a calculation:")

        async def calculation():
            print(f"primes: {count_primes(range(3))}")

        await asyncio.gather(heartbeat(), calculation())

        await part(1)
        print("Beside a calculation in a thread:")
        calculation = asyncio.to_thread(count_primes, range(3))
        _, primes = await asyncio.gather(heartbeat(), calculation)
        print(f"primes: {primes}")

        await part(2)
        print("One calculation of four portions in a pool of two:")
        portions = [loop.run_in_executor(pool, primes_in, n) for n in range(4)]
        print(f"primes: {sum(await asyncio.gather(*portions))}")

        await part(3)
        print("Three calculations in a pool of two:")

        async def calculate(name, end):
            primes = await loop.run_in_executor(pool, count_primes, range(end))
            print(f"{name}: {primes}")

        await asyncio.gather(calculate("A", 2), calculate("B", 3), calculate("C", 2))

        await part(4)
        print("Aborted after 0.15 s:")
        calculation = pool.submit(count_primes, range(3))
        await asyncio.sleep(0.15)
        calculation.cancel()  # False: it has begun
        print(f"primes: {await asyncio.wrap_future(calculation)}")

        # The first one ends some time; the second ends only by the flag.
        for number, looks, end in [(5, False, 5), (6, True, 4_000_000)]:
            await part(number)
            calculation = "looks at" if looks else "ignores"
            calculation = f"the calculation {calculation} the flag:"
            print("The caller gives up after 0.25 s;", calculation)
            count = count_until_stopped if looks else count_primes
            try:
                async with asyncio.timeout(0.25):
                    await loop.run_in_executor(single, count, range(end))
            except TimeoutError:
                print("gave up")
                flag.set()
            primes = await loop.run_in_executor(single, count_primes, range(1))
            print(f"next calculation, primes: {primes}")
            flag.clear()


if __name__ == "__main__":
    asyncio.run(main())
