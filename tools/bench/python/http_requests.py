import asyncio
import time

from aiohttp import web
from run import twin

http = twin("real-world/http_requests")
AT_ONCE = 50


async def post(request):
    number = int(request.match_info["id"])
    return web.json_response({"id": number, "title": f"Title {number}"})


async def fetch_some(session, url, first, size):
    items = total = 0
    for number in range(first, size, AT_ONCE):
        data = await http.fetch_json(session, f"{url}/{number}")
        items += 1
        total += data["id"] + len(data["title"])
    return items, total


async def bench(size):
    app = web.Application()
    app.router.add_get("/posts/{id}", post)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = "http://{}:{}/posts".format(*runner.addresses[0])
    async with http.session(5, 30) as session:
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(fetch_some(session, url, first, size))
                for first in range(AT_ONCE)
            ]
        seconds = time.perf_counter() - begun
    await runner.cleanup()
    items, totals = zip(*(task.result() for task in tasks))
    return seconds, sum(items), sum(totals)
