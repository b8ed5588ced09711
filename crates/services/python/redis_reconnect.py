# /// script
# dependencies = ["redis"]
# ///
import asyncio
import os

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import TimeoutError


def connect(limit):
    return Redis.from_url(
        os.environ["REDIS_URL"],
        decode_responses=True,
        # A connection that has no reply in time is closed, and the next call connects.
        socket_timeout=limit,
        socket_connect_timeout=limit,
        # By default a command is repeated, also if its server has done it.
        retry=Retry(NoBackoff(), 0),
    )


async def main():
    loop = asyncio.get_running_loop()
    key = f"count:{os.getpid()}"
    async with connect(0.5) as redis:
        start = loop.time()
        print(f"counted: {await redis.incr(key)}")

        print("The connection stays open, and no reply comes:")
        async with redis.pipeline(transaction=False) as silence:
            silence.execute_command("CLIENT", "REPLY", "OFF").incr(key)
            try:
                await silence.execute()
            except TimeoutError:
                print("no reply in time")
        await asyncio.sleep(start + 1 - loop.time())
        print("The next call has a new connection, and the server has counted:")
        print(f"counted: {await redis.get(key)}")
        await redis.delete(key)


asyncio.run(main())
