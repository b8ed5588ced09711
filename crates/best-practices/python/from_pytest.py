# /// script
# requires-python = ">=3.11"
# dependencies = ["aiohttp", "pytest", "pytest-asyncio"]
# ///
import asyncio
import logging
import sys

import aiohttp
import pytest
from aiohttp import web

log = logging.getLogger("users")


class Users:
    """The code under test: asks a service about users."""

    def __init__(self, session, url):
        self.session = session
        self.url = url

    async def exists(self, name):
        async with self.session.head(f"{self.url}/{name}") as response:
            if response.status == 404:
                log.warning("no user %s", name)
                return False
            response.raise_for_status()
            return True


class FakeService:
    """Answers each request with the same status, and records the requests."""

    def __init__(self):
        self.status = 200
        self.delay = 0
        self.requests = []

    async def answer(self, request):
        self.requests.append(f"{request.method} {request.path}")
        await asyncio.sleep(self.delay)
        return web.Response(status=self.status)


@pytest.fixture
async def service():
    fake = FakeService()
    app = web.Application()
    app.router.add_route("*", "/{name}", fake.answer)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    fake.url = f"http://{host}:{port}"
    yield fake
    await runner.cleanup()


@pytest.fixture
def timeout():
    return 30


@pytest.fixture
async def users(service, timeout):
    limit = aiohttp.ClientTimeout(total=timeout)
    async with aiohttp.ClientSession(timeout=limit) as session:
        yield Users(session, service.url)


@pytest.mark.parametrize("timeout", [0.3])
async def test_times_out(service, users):
    service.delay = 60
    with pytest.raises(TimeoutError):
        await users.exists("ada")
    print("a slow service: timed out")


@pytest.mark.parametrize("status, expected", [(200, True), (204, True), (404, False)])
async def test_asks_once(service, users, status, expected):
    service.status = status
    exists = await users.exists("ada")
    assert exists == expected
    assert service.requests == ["HEAD /ada"]
    exists = "exists" if exists else "does not exist"
    print(f"{status}: ada {exists}, after {', '.join(service.requests)}")


async def test_logs_an_unknown_user(service, users, caplog):
    service.status = 404
    service.delay = 0.2
    await users.exists("bob")
    assert caplog.messages == ["no user bob"]
    print(f"logged: {', '.join(caplog.messages)}")


OPTIONS = [
    "-s",
    *("-p", "no:terminal"),
    *("-p", "no:cacheprovider"),
    *("-p", "no:unraisableexception"),
    *("-o", "asyncio_mode=auto"),
    *("-o", "asyncio_default_fixture_loop_scope=function"),
]

if __name__ == "__main__":
    sys.exit(pytest.main([__file__, *OPTIONS]))
