from aiohttp import web
from run import shared, twin

http = twin("real-world/http_requests")


async def post(request):
    number = int(request.match_info["id"])
    return web.json_response({"id": number, "title": f"Title {number}"})


async def bench(size):
    app = web.Application()
    app.router.add_get("/posts/{id}", post)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = "http://{}:{}/posts".format(*runner.addresses[0])
    async with http.session(5, 30) as session:

        async def fetch_some(numbers):
            items = total = 0
            for number in numbers:
                data = await http.fetch_json(session, f"{url}/{number}")
                items += 1
                total += data["id"] + len(data["title"])
            return items, total

        work = await shared(50, size, fetch_some)
    await runner.cleanup()
    return work
