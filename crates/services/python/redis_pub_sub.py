# /// script
# dependencies = ["redis"]
# ///
import asyncio
import dataclasses
import os

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

GAP = object()


@dataclasses.dataclass(frozen=True)
class Limits:
    capacity: int
    answer: float
    ping: float
    pause: float


class Subscriber:
    """Subscribes to a channel, again after each outage, and tells of the gaps."""

    def __init__(self, redis, channel, limits):
        self._redis = redis
        self._channel = channel
        self._limits = limits
        self._events = asyncio.Queue(limits.capacity)
        self._missed = False
        self._subscribed = asyncio.Event()

    async def __aenter__(self):
        self._task = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(self._limits.answer):
                await self._subscribed.wait()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_):
        # redis-py may swallow a cancellation.
        while not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=0.1)

    async def get(self):
        """Returns a message, or GAP where messages may be missing."""
        event = await self._events.get()
        if self._missed:
            self._put(GAP)
        return event

    def _put(self, event):
        # What comes before the reader knows of the gap belongs to the gap.
        event = GAP if self._missed else event
        try:
            self._events.put_nowait(event)
            self._missed = False
        except asyncio.QueueFull:
            self._missed = True

    async def _run(self):
        while True:
            try:
                async with self._redis.pubsub() as pubsub:
                    # The client may have a longer limit, or none.
                    async with asyncio.timeout(self._limits.answer):
                        await pubsub.subscribe(self._channel)
                    await self._read(pubsub)
            except (RedisError, OSError):
                # redis-py may turn a cancellation into an error.
                if asyncio.current_task().cancelling():
                    raise
                await asyncio.sleep(self._limits.pause)

    async def _read(self, pubsub):
        """Reads until the connection is lost, or does not answer a ping."""
        while True:
            message = await pubsub.get_message(timeout=self._limits.ping)
            if message is None:
                async with asyncio.timeout(self._limits.answer):
                    await pubsub.ping()
                    message = await pubsub.get_message(timeout=None)
            if message["type"] == "message":
                self._put(message["data"])
            elif message["type"] == "subscribe":
                if self._subscribed.is_set():
                    self._put(GAP)
                self._subscribed.set()


async def read(events):
    event = await events.get()
    print("got a gap" if event is GAP else f"got {event}")


async def main():
    url = os.environ["REDIS_URL"]
    # A name of its own: another run may use the same server.
    name = f"news:{os.getpid()}"
    redis = Redis.from_url(url)

    async def admit():
        await redis.execute_command(
            "ACL", "SETUSER", name, "on", ">secret", "&*", "+@all"
        )

    async def expel():
        await redis.execute_command("ACL", "DELUSER", name)

    async def publish(text):
        subscribers = await redis.publish(name, text)
        print(f"published {text}, subscribers: {subscribers}")

    await admit()
    client = Redis.from_url(
        url,
        username=name,
        password="secret",
        decode_responses=True,
        # Only the subscriber itself knows of the gap.
        retry=Retry(NoBackoff(), 0),
    )
    limits = Limits(capacity=2, answer=1, ping=5, pause=0.1)
    async with redis, client, Subscriber(client, name, limits) as events:
        start = asyncio.get_running_loop().time()
        await publish("tea")
        await read(events)

        print("The connection is cut:")
        await expel()
        await publish("cake")
        await asyncio.sleep(start + 0.25 - asyncio.get_running_loop().time())
        await admit()
        await read(events)
        await publish("pie")
        await read(events)

        print("The reader is slow:")
        for text in ["one", "two", "three", "four"]:
            await publish(text)
        await asyncio.sleep(0.2)
        for _ in range(3):
            await read(events)
        await publish("five")
        await read(events)
        await expel()


asyncio.run(main())
