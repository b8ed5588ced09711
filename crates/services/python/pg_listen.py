# /// script
# dependencies = ["asyncpg"]
# ///
import asyncio
import os
import time

import asyncpg

RESYNC = "resync: read the table"
LOST = "the connection is lost"


class Listener:
    def __init__(self, url, channel, capacity):
        self.url, self.channel = url, channel
        self.events = asyncio.Queue(capacity)
        self.missed = None

    def notified(self, connection, pid, channel, payload):
        if self.missed is None:
            try:
                self.events.put_nowait(f"heard {payload}")
            except asyncio.QueueFull:
                self.missed = asyncio.create_task(self.events.put(RESYNC))
                self.missed.add_done_callback(self.told)

    def told(self, task):
        self.missed = None

    async def listen(self):
        while True:
            try:
                await self.session()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await self.events.put(LOST)
            await asyncio.sleep(0.2)

    async def session(self):
        settings = {"application_name": self.channel}
        connection = await asyncpg.connect(
            self.url, timeout=1, command_timeout=1, server_settings=settings
        )
        try:
            ended = asyncio.Event()
            connection.add_termination_listener(lambda _: ended.set())
            await connection.add_listener(self.channel, self.notified)
            await self.events.put(RESYNC)
            while not ended.is_set():
                try:
                    async with asyncio.timeout(0.1):
                        await ended.wait()
                except TimeoutError:
                    await connection.execute("SELECT 1")
            raise ConnectionResetError
        finally:
            connection.terminate()


async def hear(events):
    """Prints what is heard within 0.3 s."""
    try:
        async with asyncio.timeout(0.3):
            while True:
                print(await events.get())
    except TimeoutError:
        pass


async def main():
    start = time.monotonic()

    async def at(seconds):
        await asyncio.sleep(start + seconds - time.monotonic())

    url, name = os.environ["DATABASE_URL"], f"listen_{os.getpid()}"
    db = await asyncpg.connect(url)

    async def notify(text):
        await db.execute("SELECT pg_notify($1, $2)", name, text)

    listener = Listener(url, name, 2)
    events = listener.events
    listening = asyncio.create_task(listener.listen())

    await at(0.4)
    print("After the connect:")
    await hear(events)

    await at(0.8)
    print("One transaction is rolled back, one says the same twice:")
    transaction = db.transaction()
    await transaction.start()
    await notify("tea")
    await transaction.rollback()
    async with db.transaction():
        for text in ["cake", "jam", "cake"]:
            await notify(text)
    await hear(events)

    await at(1.2)
    print("The connection is lost for 0.2 s:")
    await db.execute(
        """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE application_name = $1""",
        name,
    )
    await notify("while nobody listens")
    await hear(events)

    await at(1.6)
    print("Five come, and the receiver has room for two:")
    for number in range(1, 6):
        await notify(str(number))
    await at(1.8)
    await hear(events)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await db.close()


asyncio.run(main())
