# /// script
# requires-python = ">=3.11"
# dependencies = ["fastapi", "httpx"]
# ///
import asyncio
from typing import Annotated

import httpx
import pydantic.v1  # noqa: F401  FastAPI imports it at the first error, which takes long.
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException as StarletteHTTPException


class NewNote(BaseModel):
    text: str = Field(min_length=1)


class Note(BaseModel):
    id: int
    owner: str
    text: str


class Limits:
    """Limits the bytes of a body and the time of a handler. FastAPI limits neither.

    A timeout around the `call_next` of `@app.middleware("http")` would not cancel the
    handler.
    """

    def __init__(self, app, body, time):
        self.app = app
        self.body = body
        self.time = time

    async def __call__(self, scope, receive, send):
        size = 0
        started = False

        async def receive_limited():
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self.body:
                raise HTTPException(413, "the body is too large")
            return message

        async def send_noted(message):
            nonlocal started
            started = True
            await send(message)

        try:
            async with asyncio.timeout(self.time):
                await self.app(scope, receive_limited, send_noted)
        except TimeoutError:
            if started:
                raise
            response = JSONResponse({"error": "it took too long"}, 504)
            await response(scope, receive, send)


bearer = HTTPBearer(auto_error=False)


async def current_user(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
):
    tokens = request.app.state.tokens
    if credentials is None or credentials.credentials not in tokens:
        headers = {"WWW-Authenticate": "Bearer"}
        raise HTTPException(401, "no valid token", headers)
    return tokens[credentials.credentials]


User = Annotated[str, Depends(current_user)]


def make_app(tokens, origin, body, time):
    app = FastAPI()
    app.state.tokens = tokens
    notes = []

    # The last one that is added is the outermost.
    app.add_middleware(Limits, body=body, time=time)

    @app.middleware("http")
    async def catch_bugs(request, call_next):
        try:
            return await call_next(request)
        except Exception:
            return JSONResponse({"error": "internal error"}, 500)

    app.add_middleware(
        CORSMiddleware,
        allow_origins=[origin],
        allow_methods=["GET", "POST"],
        allow_headers=["authorization", "content-type"],
    )

    @app.exception_handler(StarletteHTTPException)
    async def http_error(request, error):
        body = {"error": error.detail}
        return JSONResponse(body, error.status_code, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request, error):
        return JSONResponse({"error": str(error)}, 422)

    @app.post("/notes", status_code=201)
    async def create(user: User, new: NewNote) -> Note:
        note = Note(id=len(notes) + 1, owner=user, text=new.text)
        notes.append(note)
        return note

    @app.get("/notes")
    async def list_notes(user: User, offset: int = 0, limit: int = 10) -> list[Note]:
        mine = [note for note in notes if note.owner == user]
        return mine[offset : offset + limit]

    @app.get("/notes/{id}")
    async def show(user: User, id: int) -> Note:
        for note in notes:
            if note.id == id and note.owner == user:
                return note
        raise HTTPException(404, f"there is no note {id}")

    return app


ORIGIN = "https://app.example"


async def main():
    app = make_app({"a1": "Ann", "b2": "Ben"}, ORIGIN, body=100, time=2)

    @app.get("/slow")
    async def slow():
        await asyncio.sleep(60)

    @app.get("/buggy")
    async def buggy():
        raise RuntimeError("the bug")

    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://test",
        headers={
            "content-type": "application/json",
            "origin": ORIGIN,
            "access-control-request-method": "POST",
        },
    )

    async def send(token, method, path, body=""):
        headers = {"authorization": f"Bearer {token}"}
        response = await client.request(method, path, content=body, headers=headers)
        assert response.headers["access-control-allow-origin"] == ORIGIN
        if response.is_error:
            assert isinstance(response.json()["error"], str)
            text = "an error in JSON"
        elif method == "OPTIONS":
            text = "pages of the origin may call it"
        else:
            text = response.text
        print(f"{method} {path}: {response.status_code}, {text}")

    async def ask(token, path):
        await send(token, "GET", path)

    async def post(token, body):
        await send(token, "POST", "/notes", body)

    async with client:
        print("A token says who calls:")
        await post("a1", '{"text": "milk"}')
        await post("b2", '{"text": "tea"}')
        await post("a1", '{"text": "bread"}')
        await post("wrong", '{"text": "salt"}')

        print("Each user reads the own notes:")
        await ask("a1", "/notes")
        await ask("a1", "/notes?offset=1&limit=5")
        await ask("b2", "/notes/2")
        await ask("a1", "/notes/2")

        print("Input of another form:")
        await post("a1", '{"title": "milk"}')
        await post("a1", '{"text": ""}')
        await post("a1", " " * 101)
        await ask("a1", "/nothing")
        await send("a1", "DELETE", "/notes")

        print("A handler that is slow, and one with a bug:")
        await ask("a1", "/slow")
        await ask("a1", "/buggy")

        print("A browser asks before it sends a token:")
        await send("", "OPTIONS", "/notes")


asyncio.run(main())
