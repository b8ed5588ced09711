# /// script
# requires-python = ">=3.11"
# dependencies = ["fastapi", "httpx"]
# ///
import asyncio
import ipaddress
import math
from collections import OrderedDict

import anyio._backends._asyncio  # noqa: F401  Imported at the first request otherwise.
import httpx
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse


class KeyedLimiter:
    """A token bucket for each key, of which the last `max_keys` are kept."""

    def __init__(self, burst, interval, max_keys):
        self._capacity = burst * interval
        self._interval = interval
        self._max_keys = max_keys
        # For each key the moment at which its bucket will be full.
        self._full_at = OrderedDict()

    def check(self, key):
        """Takes a token, or returns the time until there is one."""
        now = asyncio.get_running_loop().time()
        lacks = max(self._full_at.get(key, now) - now, 0) + self._interval
        # Whatever rounding makes of it is no reason to refuse.
        if lacks - self._capacity > 1e-6:
            self._full_at.move_to_end(key)
            return lacks - self._capacity
        self._full_at[key] = now + lacks
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._max_keys:
            self._full_at.popitem(last=False)
        return None

    def keys(self):
        return len(self._full_at)


def network(host):
    """Returns the address that stands for a client: of IPv6, the network of 64 bits."""
    address = ipaddress.ip_address(host)
    if address.version == 6:
        return address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False)
    return address


def make_app(limiter):
    app = FastAPI()

    @app.middleware("http")
    async def limit(request, call_next):
        retry_after = limiter.check(network(request.client.host))
        if retry_after is not None:
            headers = {"Retry-After": str(math.ceil(retry_after))}
            return PlainTextResponse("too many requests", 429, headers)
        return await call_next(request)

    @app.get("/")
    async def hello():
        return "hello"

    return app


async def main():
    limiter = KeyedLimiter(2, 1.5, 3)
    app = make_app(limiter)

    async def send(address):
        transport = httpx.ASGITransport(app, client=(address, 50_000))
        async with httpx.AsyncClient(transport=transport) as client:
            response = await client.get("http://test/")
        seconds = response.headers.get("retry-after")
        after = f", retry after {seconds} s" if seconds else ""
        print(f"{address}: {response.status_code}{after}")

    print("Two at once, and then one each 1.5 s:")
    for _ in range(3):
        await send("10.0.0.1")
    await asyncio.sleep(1.5)
    await send("10.0.0.1")
    await send("10.0.0.1")

    print("Another client, and a network of one client:")
    await send("10.0.0.2")
    for address in ["2001:db8::1", "2001:db8::2", "2001:db8::3"]:
        await send(address)

    print("A fourth client, and the one that was seen first is forgotten:")
    await send("10.0.0.3")
    print(f"{limiter.keys()} keys")
    await send("10.0.0.1")
    print(f"{limiter.keys()} keys")


asyncio.run(main())
