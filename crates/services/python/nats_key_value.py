# /// script
# dependencies = ["nats-py"]
# ///
import asyncio
import os

import nats
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError


class Follower:
    """The latest value of a key, and a condition that tells of changes."""

    def __init__(self):
        self.value, self.changed = None, asyncio.Condition()

    async def follow(self, store, key):
        watcher = await store.watch(key)
        try:
            async for entry in watcher:
                if entry is None:
                    continue  # The value of now has come.
                async with self.changed:
                    self.value = entry.value if entry.operation is None else None
                    self.changed.notify_all()
        finally:
            await watcher.stop()


async def change(store, key, compute):
    """Replaces the value by what `compute` returns for it."""
    while True:
        try:
            entry = await store.get(key)
            value, revision = entry.value, entry.revision
        except KeyNotFoundError:
            value, revision = None, 0
        try:
            await store.update(key, compute(value), last=revision)
            return
        except KeyWrongLastSequenceError:
            pass  # Another process has written in between.


def limit(value):
    return int(value or b"10")


async def demonstrate(store):
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def at(seconds):
        await asyncio.sleep(start + seconds - loop.time())

    async def show():
        async with follower.changed:
            while True:
                await follower.changed.wait()
                print(f"changed: limit {limit(follower.value)}")

    async def wait_for(number):
        async with follower.changed:
            await follower.changed.wait_for(lambda: limit(follower.value) == number)
        print(f"limit {number}")

    def add(value):
        return str(limit(value) + 1).encode()

    follower = Follower()
    following = asyncio.create_task(follower.follow(store, "limit"))
    try:
        await at(0.2)
        print("Nothing is set:")
        print(f"limit {limit(follower.value)}")
        showing = asyncio.create_task(show())

        await at(0.3)
        print("Set to 20:")
        await store.put("limit", b"20")

        await at(0.5)
        showing.cancel()
        print("Five add 1 at once:")
        await asyncio.gather(*(change(store, "limit", add) for _ in range(5)))
        await wait_for(25)

        await at(0.7)
        print("Deleted:")
        await store.delete("limit")
        await wait_for(10)
    finally:
        following.cancel()


async def main():
    nc = await nats.connect(os.environ["NATS_URL"])
    js = nc.jetstream()
    bucket = f"settings_python_{os.getpid()}"
    store = await js.create_key_value(bucket=bucket)
    try:
        await demonstrate(store)
    finally:
        await js.delete_key_value(bucket)
        await nc.close()


asyncio.run(main())
