"""The quick way of a route: it answers what is plainly right, and every other request is answered
as it would be without it."""

from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shared import errors
from shared.access import Permission, Role
from shared.http.app import create_app
from shared.http.auth import Principal, Requires, requires
from shared.http.quick import Quick
from shared.http.strict_json import api_router, decode
from shared.observability.health import Health
from shared.observability.registry import REGISTRY


class Question(BaseModel):
    model_config = ConfigDict(extra="forbid")

    word: str = Field(max_length=5)


class Holders:
    """Stands for the tokens in the database: the bearer text is the role."""

    async def principal(self, bearer: str | None) -> Principal:
        if bearer is None or bearer not in set(Role):
            raise errors.Unauthenticated("unknown")
        return Principal("id", bearer, frozenset({bearer}))


def answer(word: str, way: str) -> Response:
    if word == "gone":
        raise errors.Gone("erased")
    if word == "bug":
        raise KeyError(word)
    return Response(word, headers={"x-way": way})


def routes() -> APIRouter:
    router = api_router(tags=["test"])

    @router.post("/v1/ask")
    async def ask(body: Question, _: Annotated[Principal, requires(Permission.SERVE)]) -> Response:
        return answer(body.word, "usual")

    @router.get("/v1/words/{word:path}", dependencies=[requires(Permission.SERVE)])
    async def read(word: str) -> Response:
        return answer(word, "usual")

    return router


async def read_body(request: Request) -> Question | None:
    try:
        return Question.model_validate(decode(await request.body()))
    except ValueError:
        return None


async def read_path(request: Request) -> str | None:
    word: str = request.scope["path"].removeprefix("/v1/words/")
    return word if word.isalpha() else None


async def answer_body(_: Request, asked: Question) -> Response:
    return answer(asked.word, "quick")


async def answer_path(_: Request, asked: str) -> Response:
    return answer(asked, "quick")


needs = Requires(Permission.SERVE)
QUICK: list[Quick[Any]] = [
    Quick("POST", "/v1/ask", needs, read_body, answer_body),
    Quick("GET", "/v1/words/{word:path}", needs, read_path, answer_path),
]


@pytest.fixture(scope="module")
async def engine() -> AsyncIterator[AsyncEngine]:
    """Never connected: these tests need no database."""
    made = create_async_engine("postgresql+asyncpg://nobody@127.0.0.1:1/none")
    yield made
    await made.dispose()


def app_with(engine: AsyncEngine, quick: list[Quick[Any]]) -> FastAPI:
    made = create_app(
        title="Test",
        version="1",
        health=Health("test", {}),
        engine=engine,
        routers=[routes()],
        quick=quick,
        max_body_bytes=100,
    )
    made.state.access = Holders()
    return made


async def sent(app: FastAPI, *what: Any, **how: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://concert") as client:
        return await client.request(*what, **{"headers": {"Authorization": "Bearer admin"}, **how})


@pytest.mark.parametrize(
    "request_",
    [
        ("POST", "/v1/ask", {"json": {"word": "hello"}}),
        ("GET", "/v1/words/hello", {}),
    ],
)
async def test_what_is_right_is_answered_at_once(
    engine: AsyncEngine, request_: tuple[str, str, dict[str, Any]]
) -> None:
    method, path, how = request_
    found = await sent(app_with(engine, QUICK), method, path, **how)
    assert (found.status_code, found.text, found.headers["x-way"]) == (200, "hello", "quick")


@pytest.mark.parametrize(
    "request_",
    [
        ("POST", "/v1/ask", {"json": {"word": "longer"}}),
        ("POST", "/v1/ask", {"json": {"word": 1}}),
        ("POST", "/v1/ask", {"json": {"word": "a", "more": 1}}),
        ("POST", "/v1/ask", {"json": {"word": "longer"}, "headers": {}}),
        ("POST", "/v1/ask", {"json": {"word": "a"}, "headers": {}}),
        ("POST", "/v1/ask", {"json": {"word": "a"}, "headers": {"Authorization": "Bearer viewer"}}),
        ("POST", "/v1/ask", {"json": {"word": "a"}, "headers": {"Authorization": "Basic admin"}}),
        ("POST", "/v1/ask", {"json": ["word"]}),
        ("POST", "/v1/ask", {"content": b'{"word": NaN}'}),
        ("POST", "/v1/ask", {"content": b'{"word": "\\u0000"}'}),
        ("POST", "/v1/ask", {"content": b"{"}),
        ("POST", "/v1/ask", {"content": b""}),
        ("POST", "/v1/ask", {"content": b" " * 101}),
        ("POST", "/v1/ask", {"json": {"word": "gone"}}),
        ("POST", "/v1/ask", {"json": {"word": "bug"}}),
        ("PUT", "/v1/ask", {"json": {"word": "a"}}),
        ("POST", "/v1/ask/", {"json": {"word": "a"}}),
        ("GET", "/v1/words/a/b", {}),
        ("GET", "/v1/words/", {}),
        ("GET", "/v1/words/gone", {}),
        ("GET", "/v1/words/a", {"headers": {}}),
        ("DELETE", "/v1/words/a", {}),
    ],
)
async def test_everything_else_is_answered_as_without_it(
    engine: AsyncEngine, request_: tuple[str, str, dict[str, Any]]
) -> None:
    method, path, how = request_
    with_it = await sent(app_with(engine, QUICK), method, path, **how)
    without = await sent(app_with(engine, []), method, path, **how)
    assert with_it.headers.get("x-way") != "quick"
    assert told(with_it) == told(without)


def told(found: httpx.Response) -> tuple[int, str, Mapping[str, str]]:
    """Everything but the trace id."""
    trace = found.headers["x-trace-id"]
    headers = {name: value for name, value in found.headers.items() if name != "x-trace-id"}
    return found.status_code, found.text.replace(trace, ""), headers


async def test_both_ways_count_as_the_route(engine: AsyncEngine) -> None:
    def counted(status: str) -> float:
        labels = {"method": "POST", "route": "/v1/ask", "status": status}
        return REGISTRY.get_sample_value("concert_http_requests_total", labels) or 0.0

    app = app_with(engine, QUICK)
    before = counted("200"), counted("422")
    await sent(app, "POST", "/v1/ask", json={"word": "a"})
    await sent(app, "POST", "/v1/ask", json={"word": "longer"})
    assert (counted("200"), counted("422")) == (before[0] + 1, before[1] + 1)


def test_the_document_does_not_know_it(engine: AsyncEngine) -> None:
    assert app_with(engine, QUICK).openapi() == app_with(engine, []).openapi()
