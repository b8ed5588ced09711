import asyncio
import threading


def count_primes(limit, together):
    together.wait()
    primes = [n for n in range(2, limit) if all(n % divisor for divisor in range(2, n))]
    return len(primes), threading.current_thread()


def show(results):
    (first, _), (second, _) = results
    threads = {thread for _, thread in results}
    print(f"{first} and {second} primes, threads: {len(threads)}")


async def count_in_task(limit, together):
    return count_primes(limit, together)


async def main():
    print("Side by side in one task:")
    alone = threading.Barrier(1)
    show([await count_in_task(limit, alone) for limit in (100, 1000)])

    print("In two spawned tasks:")
    # They take turns on one thread: a barrier for both would wait for ever.
    tasks = [count_in_task(limit, alone) for limit in (100, 1000)]
    show(await asyncio.gather(*tasks))

    print("On threads for blocking calls:")
    both = threading.Barrier(2)
    calls = [asyncio.to_thread(count_primes, limit, both) for limit in (100, 1000)]
    show(await asyncio.gather(*calls))


asyncio.run(main())
