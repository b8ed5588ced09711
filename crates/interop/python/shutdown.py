import asyncio
import os
import signal

try:
    from shutdown_rs import start, stop
except ImportError:
    JOBS, STOP = [], asyncio.Event()

    async def job():
        await STOP.wait()
        await asyncio.sleep(0.1)
        return "saved"

    def start():
        JOBS.append(asyncio.create_task(job()))

    async def stop(seconds):
        STOP.set()
        done, _ = await asyncio.wait(JOBS, timeout=seconds)
        return len(done)


async def main():
    for _ in range(3):
        start()
    try:
        loop = asyncio.get_running_loop()
        loop.call_later(0.1, os.kill, os.getpid(), signal.SIGINT)
        await asyncio.sleep(60)
    finally:  # CancelledError, which asyncio.run makes of Ctrl-C
        print("saved:", await stop(30))


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("interrupted")
