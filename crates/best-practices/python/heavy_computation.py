import asyncio
from concurrent.futures import ProcessPoolExecutor


def calculate_primes(end):
    def is_prime(number):
        divisors = range(2, int(number**0.5) + 1)
        return all(number % divisor for divisor in divisors)

    return [number for number in range(2, end) if is_prime(number)]


async def heartbeat():
    for beat in range(1, 4):
        print(f"heartbeat {beat}")
        await asyncio.sleep(0.1)


async def main():
    print("Computed by a task:")

    async def computing():
        print(f"{len(calculate_primes(5_000))} primes")

    await asyncio.gather(computing(), heartbeat())

    print("Computed beside the task:")
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor() as pool:
        primes = loop.run_in_executor(pool, calculate_primes, 5_000)
        await heartbeat()
        print(f"{len(await primes)} primes")


if __name__ == "__main__":
    asyncio.run(main())
