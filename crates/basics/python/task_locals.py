import asyncio
from contextvars import ContextVar

request_id = ContextVar("request_id")


def log(message):
    print(f"[{request_id.get('none')}] {message}")


async def query(delay):
    await asyncio.sleep(delay)
    log("Queried")


async def handle(request, delay):
    request_id.set(request)
    log("Started")
    await query(delay)
    log("Finished")


async def handle_with_tasks(request):
    request_id.set(request)
    print("A task, and a call on another thread:")
    await asyncio.create_task(query(0.1))
    await asyncio.to_thread(log, "Computed")


async def main():
    print("Two requests at the same time:")
    await asyncio.gather(handle(1, 0.2), handle(2, 0.1))

    print("Outside of a request:")
    log("Nothing is set")

    await asyncio.create_task(handle_with_tasks(4))


asyncio.run(main())
