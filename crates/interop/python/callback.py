import asyncio
import threading

try:
    from callback_rs import watch
except ImportError:

    async def watch(count, on_event):
        for number in range(count):
            await asyncio.sleep(0.01)
            asyncio.get_running_loop().call_soon(on_event, number)
        await asyncio.sleep(0)


async def main():
    changed = asyncio.Event()

    def on_event(number):
        changed.set()  # not thread-safe, so it matters which thread calls
        print("event", number, threading.current_thread() is threading.main_thread())

    await watch(3, on_event)
    print("changed", changed.is_set())


if __name__ == "__main__":
    asyncio.run(main())
