import asyncio
import threading
import time


class BackgroundLoop:
    def __init__(self):
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        self._ready.wait()

    async def _serve(self):
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._ready.set()
        await self._stop.wait()

    def spawn(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def stop(self):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


async def work(name, delay):
    print(f"Task {name} starts")
    await asyncio.sleep(delay)
    if name == "broken":
        raise ValueError(f"Task {name} failed")
    return f"Result from {name}"


def blocking_call():
    print("The call begins")
    time.sleep(0.3)
    print("The call ends")


def synchronous():
    background = BackgroundLoop()

    print("Two tasks, while this thread does something else:")
    good = background.spawn(work("good", 0.2))
    broken = background.spawn(work("broken", 0.3))
    time.sleep(0.1)
    print("Something else is done")
    print(good.result())
    try:
        print(broken.result())
    except ValueError as error:
        print(f"Error: {error}")

    print("Stopped while a task and a blocking call run:")
    background.spawn(work("endless", 3600))
    time.sleep(0.1)
    background.spawn(asyncio.to_thread(blocking_call))
    time.sleep(0.1)
    background.stop()
    print("Stopped")


synchronous()
