import asyncio

try:
    from runtime_at_exit_rs import delayed
except ImportError:

    async def delayed(number, ms):
        await asyncio.sleep(ms / 1000)
        return number


async def wait_for_it():
    await delayed(0, 60_000)


async def main():
    # asyncio.run cancels these, and their Rust futures are dropped.
    waiting = [asyncio.create_task(wait_for_it()) for _ in range(10)]
    print("answers", await asyncio.gather(*[delayed(n, 5) for n in range(4)]))
    print("still waiting", sum(not task.done() for task in waiting))
    # The program ends as soon as the last answer is here.


if __name__ == "__main__":
    asyncio.run(main())
