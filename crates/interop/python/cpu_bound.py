import asyncio

try:
    from cpu_bound_rs import count_primes, count_primes_here
except ImportError:

    def count_primes_here(end):
        count = 0
        for n in range(2, end):
            d = 2
            while d * d <= n and n % d:
                d += 1
            count += d * d > n
        return count

    async def count_primes(end):
        return await asyncio.to_thread(count_primes_here, end)


async def main():
    print(*await asyncio.gather(count_primes(10_000), count_primes(20_000)))
    print(await asyncio.to_thread(count_primes_here, 30_000))


if __name__ == "__main__":
    asyncio.run(main())
