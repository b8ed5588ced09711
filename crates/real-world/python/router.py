# /// script
# requires-python = ">=3.11"
# dependencies = ["httpx", "starlette"]
# ///
import asyncio

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def add(request):
    users = request.app.state.users
    id = max(users, default=0) + 1
    users[id] = (await request.json())["name"]
    path = f"/users/{id}"
    return PlainTextResponse(path, 201, headers={"location": path})


def find(request):
    users, id = request.app.state.users, request.path_params["id"]
    if id not in users:
        raise HTTPException(404, f"there is no user {id}")
    return users, id


async def show(request):
    await asyncio.sleep(0.1)
    users, id = find(request)
    return PlainTextResponse(users[id])


async def rename(request):
    users, id = find(request)
    before, users[id] = users[id], (await request.json())["name"]
    return PlainTextResponse(f"was {before}")


async def me(request):
    return PlainTextResponse(f"you are {request.state.caller}")


async def report(request):
    await asyncio.sleep(0.3)
    return PlainTextResponse("all is well")


async def log(request, call_next):
    """Prints each response."""
    response = await call_next(request)
    print(f"log: {request.method} {request.url.path} {response.status_code}")
    return response


async def authenticate(request, call_next):
    """Refuses a request without a token. Tells the handlers who sent it."""
    if request.headers.get("authorization") != "Bearer secret-of-ann":
        return PlainTextResponse("no valid token", 401)
    request.state.caller = "Ann"
    return await call_next(request)


async def count(request, call_next):
    """Counts the requests that are being answered."""
    request.app.state.in_progress += 1
    try:
        return await call_next(request)
    finally:
        request.app.state.in_progress -= 1


async def main():
    middleware = (log, authenticate, count)
    app = Starlette(
        routes=[
            Route("/users", add, methods=["POST"]),
            # The first that matches: so text before a parameter.
            Route("/users/me", me),
            Route("/users/{id:int}", show),
            Route("/users/{id:int}", rename, methods=["PUT"]),
            Route("/report", report),
        ],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=it) for it in middleware],
    )
    app.state.users, app.state.in_progress = {}, 0
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://test",
        headers={"authorization": "Bearer secret-of-ann"},
    )

    async def send(method, path, name="", **arguments):
        response = await client.request(method, path, json={"name": name}, **arguments)
        if response.is_success:
            print(response.text)

    async with client:
        print("Routes and their parameters:")
        await send("POST", "/users", "Ann")
        await send("GET", "/users/1")
        await send("PUT", "/users/1", "Anna")
        await send("GET", "/users/me")
        await send("GET", "/users/2")

        print("No such path, no such method:")
        await send("GET", "/users/1/name")
        await send("DELETE", "/users/1")

        print("Without a token no client learns which paths there are:")
        await send("GET", "/users/1", headers={"authorization": ""})
        await send("GET", "/nothing", headers={"authorization": ""})

        print("Three requests at once:")

        async def look():
            await asyncio.sleep(0.05)
            print(f"{app.state.in_progress} requests in progress")

        paths = ["/report", "/users/1", "/users/me"]
        await asyncio.gather(*(send("GET", path) for path in paths), look())

        print("The client gives up after 0.15 s:")
        try:
            async with asyncio.timeout(0.15):
                await send("GET", "/report")
            print("it was answered")
        except TimeoutError:
            print("it gave up")
        print(f"{app.state.in_progress} requests in progress")


asyncio.run(main())
