# /// script
# requires-python = ">=3.11"
# dependencies = ["aiohttp"]
# ///
import asyncio
from urllib.parse import urljoin
from urllib.robotparser import RobotFileParser

import aiohttp
from aiohttp import web

MAX_ROBOTS = 500 * 1024


async def fetch_robots(session, page):
    """Returns the rules of the site of this page, or raises."""
    robots = RobotFileParser()
    async with session.get(urljoin(page, "/robots.txt")) as response:
        if 400 <= response.status < 500 and response.status != 429:
            robots.allow_all = True
            return robots
        if response.status != 200:
            raise ConnectionError(f"status {response.status}")
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > MAX_ROBOTS:
                raise ValueError(f"larger than {MAX_ROBOTS} bytes")
    lines = body.decode(errors="replace").splitlines()
    await asyncio.to_thread(robots.parse, lines)
    return robots


RULES = """\
User-agent: *
Allow: /private/open
Disallow: /private/

User-agent: greedy
Disallow: /
"""

PAGES = ["/", "/private/x", "/%70rivate/x", "/private/open"]


async def serve(status, text):
    async def answer(request):
        print("GET /robots.txt")
        return web.Response(status=status, text=text)

    app = web.Application()
    app.router.add_get("/robots.txt", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/"


async def ask(session, site, agent):
    try:
        robots = await fetch_robots(session, site)
    except (OSError, ValueError) as error:
        print(f"nothing may be fetched: {error}")
        return
    for page in PAGES:
        allowed = robots.can_fetch(agent, urljoin(site, page))
        print(f"{page} is {'allowed' if allowed else 'forbidden'}")


async def main():
    site_runner, site = await serve(200, RULES)
    open_runner, open_site = await serve(404, "")
    broken_runner, broken = await serve(503, "")
    async with aiohttp.ClientSession() as session:
        for title, url, agent in [
            ("Rules for all crawlers:", site, "my-crawler/1.0"),
            ("A crawler with rules of its own:", site, "greedy/2.0"),
            ("There is no robots.txt:", open_site, "my-crawler/1.0"),
            ("The server is broken:", broken, "my-crawler/1.0"),
        ]:
            await asyncio.sleep(0.5)
            print(title)
            await ask(session, url, agent)
    for runner in [site_runner, open_runner, broken_runner]:
        await runner.cleanup()


asyncio.run(main())
