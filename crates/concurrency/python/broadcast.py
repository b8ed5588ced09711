import asyncio
import sys

if sys.version_info >= (3, 13):
    from asyncio import Queue, QueueShutDown
else:

    class QueueShutDown(Exception):
        pass

    class Queue(asyncio.Queue):
        """Adds the `shutdown` of Python 3.13, as far as it is used here."""

        is_shut_down = False

        def shutdown(self):
            self.is_shut_down = True
            while self._getters:
                self._wakeup_next(self._getters)

        def empty(self):
            # So that a waiting `get` goes on to `get_nowait`.
            return not self.is_shut_down and super().empty()

        def get_nowait(self):
            if self.is_shut_down and not self.qsize():
                raise QueueShutDown
            return super().get_nowait()


CAPACITY = 2


async def listen(name, delay, news):
    """Reads each message, which takes `delay`, and prints it."""
    expected = None
    try:
        while True:
            number = await news.get()
            # The numbers tell how many messages were dropped.
            if expected is not None and number > expected:
                print(f"{name}: missed {number - expected}")
            expected = number + 1
            await asyncio.sleep(delay)
            print(f"{name}: {number}")
    except QueueShutDown:
        print(f"{name}: the end")


def send(listeners, number):
    """Puts the message into the queue of each listener, instead of its oldest one."""
    print(f"sending {number}")
    if not listeners:
        print(f"{number} is lost")
    for news in listeners:
        if news.full():
            news.get_nowait()
        news.put_nowait(number)


async def main():
    listeners = []

    def subscribe():
        listeners.append(Queue(CAPACITY))
        return listeners[-1]

    print("Nobody listens:")
    send(listeners, 0)

    print("A fast, a slow and a late listener:")
    async with asyncio.TaskGroup() as group:
        group.create_task(listen("fast", 0.02, subscribe()))
        group.create_task(listen("slow", 0.36, subscribe()))
        for number in range(1, 6):
            await asyncio.sleep(0.1)
            send(listeners, number)
            if number == 3:
                group.create_task(listen("late", 0.04, subscribe()))
        for news in listeners:
            news.shutdown()


asyncio.run(main())
