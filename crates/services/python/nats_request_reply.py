# /// script
# dependencies = ["nats-py"]
# ///
import asyncio
import dataclasses
import os

import nats
from nats.errors import NoRespondersError


@dataclasses.dataclass(frozen=True)
class Limits:
    handlers: int
    runtime: float
    drain: float


class CallError(Exception):
    """The handler failed, in these words."""


async def serve(nc, subject, limits, stop, handler):
    """Answers requests until stopped; returns how many handlers it had to cancel."""
    permits = asyncio.Semaphore(limits.handlers)
    tasks = set()

    async def answer(request):
        headers, payload = None, b""
        try:
            async with asyncio.timeout(limits.runtime):
                payload = await handler(request.data)
        except TimeoutError:
            headers = {"Nats-Service-Error": "timed out"}
        except ValueError as error:
            headers = {"Nats-Service-Error": str(error)}
        await nc.publish(request.reply, payload, headers=headers)

    def finished(task):
        tasks.discard(task)
        permits.release()

    async def received(request):
        # nats-py awaits one callback after the other. Tasks run concurrently.
        await permits.acquire()
        task = asyncio.create_task(answer(request))
        tasks.add(task)
        task.add_done_callback(finished)

    subscription = await nc.subscribe(subject, queue=subject, cb=received)
    late = set()
    try:
        await stop.wait()
        await subscription.drain()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=limits.drain)
    finally:
        for task in tasks:
            task.cancel()
    await nc.flush()
    return len(late)


async def call(nc, subject, payload, limit):
    reply = await nc.request(subject, payload, timeout=limit)
    if error := (reply.headers or {}).get("Nats-Service-Error"):
        raise CallError(error)
    return reply.data


async def greet(name):
    match name:
        case b"":
            raise ValueError("a name is missing")
        case b"Eve":
            await asyncio.sleep(1)
        case _:
            await asyncio.sleep(0.2)
    print(f"{name.decode()} is greeted")
    return b"Hello, " + name


async def ask(nc, subject, name, limit=1):
    try:
        answer = await call(nc, subject, name.encode(), limit)
        print(f"reply: {answer.decode()}")
    except NoRespondersError:
        print("no reply: no service listens")
    except TimeoutError:
        print("no reply: timed out")
    except CallError as error:
        print(f"no reply: {error}")


async def demonstrate(nc):
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def at(seconds):
        await asyncio.sleep(start + seconds - loop.time())

    subject = f"greet.python.{os.getpid()}"
    limits = Limits(handlers=2, runtime=0.4, drain=1)

    await at(0.2)
    print("No service listens:")
    await ask(nc, subject, "Ada")

    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        service = group.create_task(serve(nc, subject, limits, stop, greet))
        await at(0.4)
        print("Three requests, two handlers at the same time:")
        await asyncio.gather(*(ask(nc, subject, name) for name in ("Ada", "Bob", "Cid")))

        await at(1)
        print("The handler fails, or takes too long:")
        await ask(nc, subject, "")
        await ask(nc, subject, "Eve")

        await at(1.6)
        print("The caller gives up after 0.1 s:")
        await ask(nc, subject, "Ada", 0.1)

        await at(2)
        print("The service stops while it handles a request:")
        asking = group.create_task(ask(nc, subject, "Bob"))
        await at(2.1)
        stop.set()
        await asking
    print(f"aborted: {service.result()}")
    await ask(nc, subject, "Cid")


async def main():
    nc = await nats.connect(os.environ["NATS_URL"])
    try:
        await demonstrate(nc)
    finally:
        await nc.close()


asyncio.run(main())
