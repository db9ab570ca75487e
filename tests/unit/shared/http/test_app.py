"""Every answer of an API: problems in one shape, limits, headers, metrics, probes, permissions."""

import asyncio
import gzip
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request
from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shared import errors
from shared.access import ALLOWED, Permission, Role, roles_with
from shared.errors import Infrastructure, InvalidData, Problem, Unprocessable
from shared.http.app import api_routes, create_app, permission_of
from shared.http.auth import Principal, requires
from shared.http.edge import traceparent_of
from shared.http.strict_json import api_router, inflate
from shared.observability.health import Health
from shared.observability.logging import TRACE
from shared.observability.registry import REGISTRY

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


class Trigger(BaseModel):
    model_config = ConfigDict(extra="forbid")

    type: str


class Rule(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    triggers: list[Trigger] = []
    anything: dict[str, Any] = {}


FAILURES: Mapping[str, Exception] = {
    "malformed": errors.Malformed("not readable"),
    "missing": errors.NotFound("no rule `x`"),
    "conflict": errors.Conflict("archived"),
    "gone": errors.Gone("erased"),
    "raced": errors.PreconditionFailed("at version 4"),
    "large": errors.TooLarge("over 1 MiB"),
    "many": errors.TooMany("5 a second", 7),
    "rules": Unprocessable("two mistakes", [Problem("a.b", "unknown_field", "did you mean `c`?")]),
    "data": InvalidData("not_json", "cut off", "value"),
    "away": Infrastructure("postgres", "host 10.0.0.7 refused ada"),
    "bug": KeyError("secret of ada@lovelace.org"),
}


def routes() -> APIRouter:
    router = api_router(tags=["test"])
    reads = [requires(Permission.READ)]

    @router.get("/v1/failures/{name}", dependencies=reads)
    async def fail(name: str) -> None:
        raise FAILURES[name]

    @router.put("/v1/rules/{key}")
    async def save(
        key: str, body: Rule, principal: Annotated[Principal, requires(Permission.EDIT)]
    ) -> dict[str, str]:
        return {"key": key, "by": principal.name}

    @router.get("/v1/trace", dependencies=reads)
    async def trace(request: Request) -> dict[str, str | None]:
        return {"log": TRACE.get(), "traceparent": traceparent_of(request)}

    @router.get("/v1/slow", dependencies=reads)
    async def slow(limit: int) -> None:
        await asyncio.sleep(limit)

    for permission in Permission:

        @router.get(f"/v1/permissions/{permission.name}", dependencies=[requires(permission)])
        async def permitted() -> str:
            return "yes"

    return router


class KnownHolders:
    """Stands for the tokens in the database: the bearer text is the role."""

    async def principal(self, bearer: str | None) -> Principal:
        if bearer is None or bearer not in set(Role):
            raise errors.Unauthenticated("unknown")
        return Principal("id", bearer, frozenset({bearer}))


@pytest.fixture(scope="module")
async def engine() -> AsyncIterator[AsyncEngine]:
    """Never connected: these tests need no database."""
    made = create_async_engine("postgresql+asyncpg://nobody@127.0.0.1:1/none")
    yield made
    await made.dispose()


@pytest.fixture
def health() -> Health:
    return Health("orchestrator.api", {})


@pytest.fixture
def app(engine: AsyncEngine, health: Health) -> FastAPI:
    made = create_app(title="Test", version="1", health=health, engine=engine, routers=[routes()])
    made.state.access = KnownHolders()
    return made


@asynccontextmanager
async def client_of(app: FastAPI, role: str | None = "admin") -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    headers = {"Authorization": f"Bearer {role}"} if role else {}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://concert", headers=headers
    ) as client:
        yield client


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as made:
        yield made


@pytest.mark.parametrize(
    ("name", "status"),
    [
        *(("malformed", 400), ("missing", 404), ("conflict", 409), ("gone", 410), ("raced", 412)),
        *(
            ("large", 413),
            ("many", 429),
            ("rules", 422),
            ("data", 422),
            ("away", 503),
            ("bug", 500),
        ),
    ],
)
async def test_every_failure_is_a_problem_that_shows_nothing_inside(
    client: httpx.AsyncClient, name: str, status: int
) -> None:
    answer = await client.get(f"/v1/failures/{name}", headers={"traceparent": TRACEPARENT})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == {"type", "title", "status", "detail", "errors", "trace"}
    assert body["status"] == status
    assert body["trace"] == TRACE_ID == answer.headers["x-trace-id"]
    for hidden in ("lovelace", "refused ada", "10.0.0.7", "KeyError", "Traceback"):
        assert hidden not in answer.text


async def test_broken_rules_are_listed_with_path_rule_and_message(
    client: httpx.AsyncClient,
) -> None:
    body = (await client.get("/v1/failures/rules")).json()
    assert body["errors"] == [
        {"path": "a.b", "rule": "unknown_field", "message": "did you mean `c`?"}
    ]
    body = (await client.get("/v1/failures/data")).json()
    assert body["errors"] == [{"path": "value", "rule": "not_json", "message": "cut off"}]


async def test_a_database_that_is_away_says_try_again(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/failures/away")
    assert answer.headers["retry-after"] == "1"


async def test_who_sends_too_much_hears_when_to_come_again(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/failures/many")).headers["retry-after"] == "7"


async def test_validation_names_the_path_in_the_body(client: httpx.AsyncClient) -> None:
    answer = await client.put(
        "/v1/rules/welcome", json={"triggers": [{"type": 1}, {"type": "a", "tpye": "b"}]}
    )
    assert answer.status_code == 422
    found = {(error["path"], error["rule"]) for error in answer.json()["errors"]}
    assert found == {
        ("name", "missing"),
        ("triggers[0].type", "string_type"),
        ("triggers[1].tpye", "extra_forbidden"),
    }
    answer = await client.put("/v1/rules/welcome", json=[])
    assert answer.json()["detail"].startswith("The body: ")
    answer = await client.get("/v1/slow?limit=x")
    assert answer.json()["errors"][0]["path"] == "query.limit"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe",
        b'{"name": "a", "anything": {"n": NaN}}',
        b'{"name": "a", "anything": {"n": Infinity}}',
        b'{"name": "a\\u0000b"}',
        b'{"name": "a", "anything": {"x": [{"\\u0000": 1}]}}',
        b'{"name": "\\ud800"}',
        b'{"name": "a", "anything": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"name": "a", "anything": {"x": ' + b"[" * 99 + b"]" * 99 + b"}}",
    ],
)
async def test_what_cannot_be_stored_is_refused_as_a_problem(
    client: httpx.AsyncClient, body: bytes
) -> None:
    answer = await client.put(
        "/v1/rules/x", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.json()["title"] == "Bad Request"


@pytest.mark.parametrize(
    "said", [None, "application/x-www-form-urlencoded", "text/plain", "multipart/form-data", "?"]
)
async def test_a_body_is_json_whatever_its_content_type(
    client: httpx.AsyncClient, said: str | None
) -> None:
    headers = {} if said is None else {"content-type": said}
    answer = await client.put("/v1/rules/x", content=b'{"name": "a"}', headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"key": "x", "by": "admin"})
    answer = await client.put("/v1/rules/x", content=b'{"name": NaN}', headers=headers)
    assert answer.status_code == 400


async def test_an_escaped_backslash_before_u0000_is_no_nul(client: httpx.AsyncClient) -> None:
    answer = await client.put(
        "/v1/rules/x",
        content=rb'{"name": "a\\u0000b"}',
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 200


async def test_a_nul_in_the_url_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/failures/a%00b")).status_code == 400
    assert (await client.get("/v1/slow?limit=%00")).status_code == 400


async def test_a_body_over_the_limit_is_refused_with_and_without_a_length(
    client: httpx.AsyncClient,
) -> None:
    large = b'{"name": "' + b"a" * 1024 * 1024 + b'"}'
    json_type = {"content-type": "application/json"}
    answer = await client.put("/v1/rules/x", content=large, headers=json_type)
    assert (answer.status_code, answer.json()["status"]) == (413, 413)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 65536):
            yield large[start : start + 65536]

    answer = await client.put("/v1/rules/x", content=pieces(), headers=json_type)
    assert (answer.status_code, answer.json()["status"]) == (413, 413)


@pytest.mark.parametrize("length", ["x", "-1", "\u00b2", "9" * 21, "9" * 5000])
async def test_a_length_that_is_no_number_is_refused(
    client: httpx.AsyncClient, length: str
) -> None:
    headers = {b"content-length": length.encode("latin-1")}
    answer = await client.put("/v1/rules/x", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (400, 400)


async def test_an_encoding_that_was_not_asked_for_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.put(
        "/v1/rules/x", content=gzip.compress(b"{}"), headers={"content-encoding": "gzip"}
    )
    assert answer.status_code == 415


def test_gzip_is_unpacked_up_to_the_limit_only() -> None:
    assert inflate(gzip.compress(b"a" * 1000), 1000) == b"a" * 1000
    with pytest.raises(errors.TooLarge):
        inflate(gzip.compress(b"a" * 1001), 1000)
    for broken in (b"{}", gzip.compress(b"a" * 1000)[:-10]):
        with pytest.raises(errors.Malformed):
            inflate(broken, 1000)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        *(("GET", "/nothing", 404), ("DELETE", "/v1/trace", 405), ("GET", "/metrics", 404)),
        *(("GET", "/docs", 404), ("GET", "/v1/trace/", 404)),
    ],
)
async def test_unknown_paths_are_problems_too(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/livez", "/v1/trace", "/v1/failures/bug", "/nothing"])
async def test_security_headers_are_on_every_answer(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers


async def test_a_trace_is_taken_over_or_made(client: httpx.AsyncClient) -> None:
    given = (await client.get("/v1/trace", headers={"traceparent": TRACEPARENT})).json()
    assert given == {"log": TRACE_ID, "traceparent": TRACEPARENT}
    for bad in ("", "00-zz", f"00-{'0' * 32}-00f067aa0ba902b7-01", TRACEPARENT + "\\n"):
        made = (await client.get("/v1/trace", headers={"traceparent": bad})).json()
        assert made["log"] != TRACE_ID
        assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", made["traceparent"])
    assert TRACE.get() is None


async def test_requests_are_counted_by_route_template_never_by_url(
    client: httpx.AsyncClient,
) -> None:
    def count(route: str, status: str) -> float:
        labels = {"method": "GET", "route": route, "status": status}
        return REGISTRY.get_sample_value("concert_http_requests_total", labels) or 0.0

    before = count("/v1/failures/{name}", "404"), count("other", "404")
    await client.get("/v1/failures/missing")
    await client.get("/some/body/ada@lovelace.org")
    after = count("/v1/failures/{name}", "404"), count("other", "404")
    assert after == (before[0] + 1, before[1] + 1)


async def test_the_probes_need_no_token_and_follow_the_health(app: FastAPI, health: Health) -> None:
    async with client_of(app, role=None) as client:
        assert (await client.get("/livez")).json()["role"] == "orchestrator.api"
        assert (await client.get("/readyz")).status_code == 200
        health.hold("rules", "not loaded")
        await asyncio.sleep(0)
        lost = await client.get("/readyz")
        assert (lost.status_code, lost.json()["checks"]) == (503, {"rules": "not loaded"})


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("permission", list(Permission))
async def test_every_role_meets_every_permission_over_http(
    app: FastAPI, role: Role, permission: Permission
) -> None:
    async with client_of(app, role) as client:
        answer = await client.get(f"/v1/permissions/{permission.name}")
    if role in ALLOWED[permission]:
        assert answer.status_code == 200
        return
    assert answer.status_code == 403
    assert roles_with(permission)[-1] in answer.json()["detail"]
    assert role in answer.json()["detail"]


@pytest.mark.parametrize("header", [None, "Basic YTpi", "Bearer", "Bearer nobody", "admin"])
async def test_without_a_known_token_nothing_is_answered(app: FastAPI, header: str | None) -> None:
    headers = {"Authorization": header} if header else {}
    async with client_of(app, role=None) as client:
        answer = await client.get("/v1/trace", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_the_body_is_not_looked_at_before_the_token(app: FastAPI) -> None:
    async with client_of(app, role="viewer") as client:
        answer = await client.put("/v1/rules/x", json={"name": "a"})
    assert answer.status_code == 403


def test_a_route_without_permission_keeps_the_api_from_starting(
    engine: AsyncEngine, health: Health
) -> None:
    router = api_router(tags=["test"])

    @router.post("/v1/track")
    async def track() -> None: ...

    def build(open_paths: frozenset[str]) -> FastAPI:
        return create_app(
            title="Test",
            version="1",
            health=health,
            engine=engine,
            routers=[router],
            open_paths=open_paths,
        )

    with pytest.raises(ValueError, match="/v1/track demands no permission"):
        build(frozenset())
    assert build(frozenset({"/v1/track"})).title == "Test"


def test_a_router_made_otherwise_keeps_the_api_from_starting(
    engine: AsyncEngine, health: Health
) -> None:
    router = APIRouter()

    @router.get("/v1/x", dependencies=[requires(Permission.READ)])
    async def read() -> None: ...

    with pytest.raises(ValueError, match="api_router"):
        create_app(title="Test", version="1", health=health, engine=engine, routers=[router])


def test_the_permission_of_a_route_can_be_read() -> None:
    found = {route.path: permission_of(route) for route in api_routes([routes()])}
    assert found["/v1/rules/{key}"] == Permission.EDIT
    assert found["/v1/trace"] == Permission.READ
