# /// script
# requires-python = ">=3.11"
# dependencies = ["fastapi", "httpx"]
# ///
import asyncio
import json
import random

import httpx
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import PlainTextResponse


class ApiError(Exception):
    pass


class RenewedToken(httpx.Auth):
    """Adds a token. If the server rejects it, the first caller renews it for all."""

    def __init__(self, log_in):
        self._log_in = log_in
        self._token = None
        self._lock = asyncio.Lock()

    async def _renew(self, rejected):
        async with self._lock:
            if self._token is None or self._token == rejected:
                self._token = await self._log_in()
            return self._token

    async def async_auth_flow(self, request):
        token = self._token or await self._renew(None)
        request.headers["authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == 401:
            token = await self._renew(token)
            request.headers["authorization"] = f"Bearer {token}"
            yield request


class ApiClient:
    def __init__(self, client, credentials, attempts, backoff, max_pause, jitter, body):
        self._client = client
        self._credentials = credentials
        self._attempts = attempts
        self._backoff = backoff
        self._max_pause = max_pause
        self._jitter = jitter
        self._body = body
        self._auth = RenewedToken(self._log_in)

    async def _log_in(self):
        request = self._client.build_request("POST", "token", data=self._credentials)
        return self._decode(*await self._read(request, auth=None))["access_token"]

    async def _read(self, request, auth):
        """Sends a request, and reads at most the largest body."""
        response = await self._client.send(request, auth=auth, stream=True)
        try:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > self._body:
                    raise ApiError(f"a body of more than {self._body} bytes")
        finally:
            await response.aclose()
        return response, bytes(body)

    def _decode(self, response, body):
        if not response.is_success:
            raise ApiError(f"status {response.status_code}: {body.decode()}")
        return json.loads(body)

    async def send(self, method, path, **arguments):
        """Sends a call. Only idempotent ones are retried."""
        is_idempotent = method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")
        for attempt in range(self._attempts):
            may_retry = attempt + 1 < self._attempts
            request = self._client.build_request(method, path, **arguments)
            pause = self._backoff * 2**attempt
            if self._jitter:
                pause *= random.random()
            try:
                response, body = await self._read(request, auth=self._auth)
            except httpx.TransportError as error:
                is_connect = isinstance(error, httpx.ConnectError)
                if not (may_retry and (is_idempotent or is_connect)):
                    raise
            else:
                is_busy = response.status_code in (429, 502, 503, 504)
                if not (may_retry and is_idempotent and is_busy):
                    return self._decode(response, body)
                seconds = response.headers.get("retry-after", "")
                pause = float(seconds) if seconds.isdecimal() else pause
            await asyncio.sleep(min(pause, self._max_pause))


class Server:
    """An API that logs its callers in, revokes a token, and is busy now and then."""

    def __init__(self):
        self.tokens = 0
        self.busy = 0
        self.app = FastAPI()
        self.app.post("/v1/token")(self.log_in)
        self.app.get("/v1/users/{id}")(self.user)
        self.app.post("/v1/orders")(self.order)
        self.app.api_route("/v1/report", methods=["GET", "POST"])(self.report)

    def check(self, request):
        if request.headers.get("authorization") != f"Bearer token {self.tokens}":
            raise HTTPException(401)

    async def log_in(self, request: Request):
        if await request.body() != b"client_id=me&client_secret=secret":
            raise HTTPException(403)
        self.tokens += 1
        token = f"token {self.tokens}"
        print(f"server: {token}")
        # Long enough for other calls to find out that they need one as well.
        await asyncio.sleep(0.1)
        return {"access_token": token}

    async def user(self, id: int, greeting: str, request: Request):
        self.check(request)
        if id not in range(1, 10):
            return PlainTextResponse(f"no user {id}", 404)
        return f"{greeting}, user {id}"

    async def order(self, order: dict, request: Request):
        self.check(request)
        return {"ordered": order["item"]}

    async def report(self, request: Request):
        self.check(request)
        self.busy += 1
        if self.busy % 3:
            return PlainTextResponse("busy", 503)
        return "all is well"


async def main():
    loop = asyncio.get_running_loop()
    # The server takes time to start.
    start = loop.time() + 0.5

    async def part(number):
        await asyncio.sleep(start + 0.5 * number - loop.time())

    server = Server()
    http = httpx.AsyncClient(
        transport=httpx.ASGITransport(server.app),
        base_url="http://test/v1",
        timeout=10,
    )
    async with http:
        api = ApiClient(
            http,
            {"client_id": "me", "client_secret": "secret"},
            attempts=3,
            backoff=0.1,
            max_pause=1,
            jitter=False,
            body=1_000,
        )

        async def greet(id):
            return await api.send("GET", f"users/{id}", params={"greeting": "hello"})

        await part(0)
        print("The first call logs in:")
        print(await greet(1))

        await part(1)
        print("A query, JSON, and an error of the server:")
        print(await greet(2))
        ordered = await api.send("POST", "orders", json={"item": "tea"})
        print(json.dumps(ordered, separators=(",", ":")))
        try:
            await greet(10)
        except ApiError as error:
            print(error)

        await part(2)
        print("The token is revoked, and three calls find that out at once:")
        server.tokens += 1
        for answer in await asyncio.gather(*(greet(id) for id in [3, 4, 5])):
            print(answer)

        await part(3)
        print("The server is busy twice:")
        print(await api.send("GET", "report"))

        await part(4)
        print("A call that is not idempotent is sent once:")
        try:
            await api.send("POST", "report")
        except ApiError as error:
            print(error)


asyncio.run(main())
