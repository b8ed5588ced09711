import asyncio
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial


@dataclass
class Request:
    method: str
    path: str
    headers: dict = field(default_factory=dict)
    body: str = ""
    user: str | None = None
    params: dict = field(default_factory=dict)


@dataclass
class Response:
    body: str
    status: int = 200
    headers: dict = field(default_factory=dict)


class HttpError(Exception):
    def __init__(self, status, message, headers=None):
        super().__init__(message)
        self.response = Response(message, status, headers or {})


class Router:
    def __init__(self):
        self._routes = {}
        self._middleware = []

    def route(self, method, pattern):
        """Adds a handler. `{name}` stands for one part of the path."""

        def decorator(handler):
            if pattern not in self._routes:
                self._routes[pattern] = (compiled(pattern), {})
                # Text before a parameter: `/users/me` rather than `/users/{id}`.
                order = sorted(self._routes, key=shape)
                self._routes = {pattern: self._routes[pattern] for pattern in order}
            _, handlers = self._routes[pattern]
            handlers[method] = handler
            return handler

        return decorator

    def wrap(self, middleware):
        """The first that is added sees a request first, and its response last."""
        self._middleware.append(middleware)
        return middleware

    async def handle(self, request):
        handler = self._dispatch
        for middleware in reversed(self._middleware):
            handler = partial(middleware, call_next=handler)
        return await handler(request)

    async def _dispatch(self, request):
        try:
            handler = self._find(request)
            answer = await handler(request)
            return answer if isinstance(answer, Response) else Response(answer)
        except HttpError as error:
            return error.response

    def _find(self, request):
        for regex, handlers in self._routes.values():
            if match := regex.fullmatch(request.path):
                break
        else:
            raise HttpError(404, f"there is no {request.path}")
        if request.method not in handlers:
            allow = ", ".join(sorted(handlers))
            raise HttpError(405, f"use {allow}", {"allow": allow})
        request.params = match.groupdict()
        return handlers[request.method]


def compiled(pattern):
    """Text stands for itself, also a dot; `{name}` is a group."""
    parts = re.split(r"\{(\w+)\}", pattern)
    names = {index: f"(?P<{part}>[^/]+)" for index, part in enumerate(parts) if index % 2}
    texts = (names.get(index, re.escape(part)) for index, part in enumerate(parts))
    return re.compile("".join(texts))


def shape(pattern):
    return [(part.startswith("{"), part) for part in pattern.split("/")]


async def log(request, call_next):
    """Middleware: prints each response."""
    response = await call_next(request)
    print(f"log: {request.method} {request.path} {response.status}")
    return response


async def authenticate(request, call_next):
    """Middleware: who asks must have a token."""
    match request.headers.get("authorization"):
        case "Bearer secret-of-ann":
            request.user = "Ann"
        case _:
            return Response("who are you?", 401)
    return await call_next(request)


class Running:
    """Middleware: counts the requests that are being answered."""

    def __init__(self):
        self.count = 0

    async def __call__(self, request, call_next):
        with self._counted():
            return await call_next(request)

    @contextmanager
    def _counted(self):
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1


class Users:
    """What the handlers share."""

    def __init__(self):
        self._names = {}

    async def show(self, request):
        id = user_id(request)
        await asyncio.sleep(0.1)
        try:
            return self._names[id]
        except KeyError:
            raise HttpError(404, f"there is no user {id}") from None

    async def add(self, request):
        await asyncio.sleep(0.1)
        id = max(self._names, default=0) + 1
        self._names[id] = request.body
        path = f"/users/{id}"
        return Response(path, 201, {"location": path})

    async def replace(self, request):
        id = user_id(request)
        await asyncio.sleep(0.1)
        if id not in self._names:
            raise HttpError(404, f"there is no user {id}")
        before = self._names[id]
        self._names[id] = request.body
        return f"was {before}"


def user_id(request):
    id = request.params["id"]
    try:
        return int(id)
    except ValueError as error:
        raise HttpError(400, f"{id} is no number") from error


def make_app(users, running):
    app = Router()
    app.route("GET", "/users/{id}")(users.show)
    app.route("POST", "/users")(users.add)
    app.route("PUT", "/users/{id}")(users.replace)

    @app.route("GET", "/users/me")
    async def me(request):
        return f"you are {request.user}"

    @app.route("GET", "/report.txt")
    async def report(request):
        await asyncio.sleep(0.3)
        return "all is well"

    app.wrap(log)
    app.wrap(authenticate)
    app.wrap(running)
    return app


async def send(app, method, path, body=""):
    """Sends a request of Ann's, and prints the body of the response."""
    headers = {"authorization": "Bearer secret-of-ann"}
    response = await app.handle(Request(method, path, headers, body))
    print(response.body)


async def main():
    users = Users()
    running = Running()
    app = make_app(users, running)

    print("Routes and their parameters:")
    await send(app, "POST", "/users", "Ann")
    await send(app, "GET", "/users/1")
    await send(app, "PUT", "/users/1", "Anna")
    await send(app, "GET", "/users/me")
    await send(app, "GET", "/users/2")
    await send(app, "GET", "/users/two")

    print("No such path, no such method:")
    await send(app, "GET", "/users/1/name")
    await send(app, "GET", "/report-txt")
    await send(app, "DELETE", "/users/1")

    print("Without a token nobody learns which paths there are:")
    for path in ["/users/1", "/nothing"]:
        response = await app.handle(Request("GET", path))
        print(response.body)

    print("Three at once:")

    async def look():
        await asyncio.sleep(0.05)
        print(f"{running.count} are running")

    paths = ["/report.txt", "/users/1", "/users/me"]
    await asyncio.gather(*(send(app, "GET", path) for path in paths), look())

    print("Who asks gives up after 0.15 s:")
    try:
        async with asyncio.timeout(0.15):
            await send(app, "GET", "/report.txt")
        print("was answered")
    except TimeoutError:
        print("gave up")
    print(f"{running.count} are running")


asyncio.run(main())
