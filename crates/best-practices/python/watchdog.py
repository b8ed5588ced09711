import asyncio
import logging
import re
import time


class PrintSlow(logging.Handler):
    """Prints the name of a task that has run too long without an await."""

    def emit(self, record):
        # "Executing <Task finished name='labels' coro=<..> ..> took 0.900 seconds"
        if match := re.match(r"Executing .*name='(\w+)'.* took", record.getMessage()):
            print(f"slow: {match[1]}")


def print_labels():
    time.sleep(0.9)
    print("labels printed")


async def blocking():
    print_labels()


async def in_a_thread():
    await asyncio.to_thread(print_labels)


async def main():
    logging.getLogger("asyncio").addHandler(PrintSlow())
    asyncio.get_running_loop().slow_callback_duration = 0.4

    print("A task that blocks for 0.9 s, and a limit of 0.4 s:")
    await asyncio.create_task(blocking(), name="labels")

    print("The same call in a thread:")
    await asyncio.create_task(in_a_thread(), name="labels")


asyncio.run(main(), debug=True)
