# /// script
# dependencies = ["asyncpg"]
# ///
import asyncio
import os
import time

import asyncpg


async def work(pool, seconds):
    async with pool.acquire(timeout=0.3) as connection:
        await connection.execute("SELECT pg_sleep($1)", seconds)


async def main():
    start = time.monotonic()

    async def part(number):
        await asyncio.sleep(start + 0.4 + 0.7 * number - time.monotonic())

    url = os.environ["DATABASE_URL"]
    name = f"pool {os.getpid()}"
    pool = await asyncpg.create_pool(
        url,
        min_size=0,
        max_size=2,
        timeout=1,
        command_timeout=1,
        server_settings={"application_name": name, "statement_timeout": "600"},
    )
    admin = await asyncpg.connect(url)

    await part(0)
    print("Three calls of 0.2 s share two connections:")
    for call in asyncio.as_completed([work(pool, 0.2) for _ in range(3)]):
        await call
        print("a call is done")

    await part(1)
    print("Two calls of 0.5 s, and a third that waits 0.3 s at most:")
    calls = asyncio.gather(work(pool, 0.5), work(pool, 0.5))
    await asyncio.sleep(0.05)
    try:
        await work(pool, 0)
    except TimeoutError:
        print("the third: no connection is free")
    await calls

    await part(2)
    print("Two callers give up after 0.1 s:")
    calls = (asyncio.wait_for(work(pool, 60), 0.1) for _ in range(2))
    await asyncio.gather(*calls, return_exceptions=True)
    await asyncio.sleep(0.2)
    running = await admin.fetchval(
        """SELECT count(*) FROM pg_stat_activity
           WHERE application_name = $1 AND state = 'active'""",
        name,
    )
    print(f"statements that still run: {running}")
    print(f"the next caller gets {await pool.fetchval('SELECT 42')}")

    await part(3)
    print("A statement takes longer than its limit:")
    try:
        await work(pool, 60)
    except asyncpg.QueryCanceledError as error:
        print(f"ERROR: {error}")

    await part(4)
    print("The server closes all connections:")
    await admin.execute(
        """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE application_name = $1""",
        name,
    )
    await asyncio.sleep(0.1)
    print(f"the next caller gets {await pool.fetchval('SELECT 42')}")
    await pool.close()
    await admin.close()


asyncio.run(main())
