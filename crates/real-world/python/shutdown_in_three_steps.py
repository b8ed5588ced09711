import asyncio
import contextlib
import signal


async def work(name, seconds, stop):
    while not stop.is_set():
        # Stands for one piece of work.
        await asyncio.sleep(seconds)
        print(f"{name} has done a piece of work")
    print(f"{name} ends")


async def shutdown_signal():
    """Waits for Ctrl-C, here for at most a second."""
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, interrupted.set)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            await interrupted.wait()


async def main():
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for name, seconds in [("A", 0.3), ("B", 0.7)]:
            tasks.create_task(work(name, seconds, stop))
        # 1. Find out.
        await shutdown_signal()
        print("shutting down")
        # 2. Tell the tasks.
        stop.set()
        # 3. Wait for them: the end of the block does.
    print("all tasks have ended")


asyncio.run(main())
