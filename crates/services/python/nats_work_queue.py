# /// script
# dependencies = ["nats-py"]
# ///
import asyncio
import dataclasses
import os

import nats
from nats.js.api import ConsumerConfig, DiscardPolicy, RetentionPolicy, StreamConfig
from nats.js.errors import APIError


@dataclasses.dataclass(frozen=True)
class Settings:
    max_jobs: int
    max_in_flight: int
    ack_wait: float
    max_runtime: float
    max_attempts: int
    backoff: float


class WorkQueue:
    """A queue of jobs in JetStream, which delivers a job until it is acknowledged."""

    def __init__(self, js, name, settings):
        self.js, self.name, self.settings = js, name, settings

    async def open(self):
        most = self.settings.max_jobs
        dead, subjects = f"{self.name}_dead", [f"{self.name}.dead"]
        await self.js.add_stream(StreamConfig(dead, subjects=subjects, max_msgs=most))
        await self.js.add_stream(
            StreamConfig(
                self.name,
                subjects=[f"{self.name}.jobs"],
                retention=RetentionPolicy.WORK_QUEUE,
                max_msgs=most,
                discard=DiscardPolicy.NEW,
            )
        )

    async def add(self, id, payload):
        """Adds a job, unless one of this id has been added within two minutes."""
        headers = {"Nats-Msg-Id": id}
        await self.js.publish(f"{self.name}.jobs", payload, headers=headers)

    async def work(self, stop, handler, report):
        """Runs one job after the other until stopped; then finishes its job."""
        subscription = await self.js.pull_subscribe(
            f"{self.name}.jobs",
            "workers",
            config=ConsumerConfig(
                ack_wait=self.settings.ack_wait,
                max_ack_pending=self.settings.max_in_flight,
            ),
        )
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                pull = asyncio.create_task(subscription.fetch(1, timeout=5))
                await asyncio.wait({pull, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not pull.done():
                    pull.cancel()
                    break
                try:
                    (message,) = await pull
                    await self.attend(message, handler, report)
                except TimeoutError:
                    pass  # There was no job.
                except nats.errors.Error as error:
                    report(error)
                    await asyncio.sleep(self.settings.backoff)
        finally:
            stopping.cancel()
            # Otherwise the server gives this worker another job.
            await subscription.unsubscribe()

    async def attend(self, message, handler, report):
        attempt = message.metadata.num_delivered
        if attempt <= self.settings.max_attempts:
            beat = asyncio.create_task(self.extend(message))
            try:
                async with asyncio.timeout(self.settings.max_runtime):
                    await handler(message.data.decode(), attempt)
            except Exception as error:
                report(error)
            else:
                return await message.ack_sync()
            finally:
                beat.cancel()
            if attempt < self.settings.max_attempts:
                return await message.nak(delay=self.settings.backoff)
        # First stored there, then deleted here: it may be there twice, never nowhere.
        await self.js.publish(f"{self.name}.dead", message.data)
        await message.ack_sync()

    async def extend(self, message):
        while True:
            await asyncio.sleep(self.settings.ack_wait / 3)
            await message.in_progress()


async def cook(name, attempt):
    print(f"{name}, attempt {attempt}")
    if name == "jam" and attempt == 1:
        raise ValueError("no sugar")
    if name == "salt":
        raise ValueError("no pot")
    await asyncio.sleep(0.2)
    print(f"{name}: done")


async def demonstrate(js, name):
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def at(seconds):
        await asyncio.sleep(start + seconds - loop.time())

    def work(stop):
        return queue.work(stop, cook, lambda error: print(f"failed: {error}"))

    queue = WorkQueue(js, name, Settings(2, 10, 0.5, 1, 2, 0.1))
    await queue.open()

    await at(0.2)
    print("A queue for two jobs. The same id is stored once:")
    await queue.add("1", b"tea")
    await queue.add("1", b"tea")
    await queue.add("2", b"cake")
    try:
        await queue.add("3", b"pie")
    except APIError:
        print("the third is refused: true")

    await at(0.4)
    print("Two workers:")
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(work(stop))
        group.create_task(work(stop))
        await at(0.8)
        print("A job fails once. The backoff is 0.1 s:")
        await queue.add("4", b"jam")
        await at(1.2)
        stop.set()

    await at(1.3)
    print("A worker is killed. The job waits for 0.5 s after its delivery:")
    await queue.add("5", b"soup")
    try:
        async with asyncio.timeout(0.1):
            await work(asyncio.Event())
    except TimeoutError:
        pass
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(work(stop))
        await at(2.2)
        print("A job fails in both attempts:")
        await queue.add("6", b"salt")
        await at(2.5)
        stop.set()
    letter = await js.get_msg(f"{name}_dead", 1)
    print(f"dead letter: {letter.data.decode()}")


async def main():
    nc = await nats.connect(os.environ["NATS_URL"])
    js = nc.jetstream()
    name = f"queue_python_{os.getpid()}"
    try:
        await demonstrate(js, name)
    finally:
        for stream in (name, f"{name}_dead"):
            await js.delete_stream(stream)
        await nc.close()


asyncio.run(main())
