"""The tracking plan over HTTP and in the worker, on real Kafka and PostgreSQL."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.domain.discovery import (
    MAX_PROPERTIES_PER_TYPE,
    MAX_TYPES_PER_SOURCE,
    Discovery,
    Seen,
    SeenProperty,
    SeenType,
)
from services.ingest.domain.source import Source, Tracking
from services.ingest.storage import discovery as stored
from services.ingest.storage import sources
from services.ingest.storage.registry import REFRESH_SECONDS
from services.ingest.use_cases.write_discoveries import WriteDiscoveries
from shared.contracts.touchpoint import Touchpoint
from shared.errors import Infrastructure
from shared.postgres.engine import create_engine
from shared.postgres.transaction import transaction
from tests.integration.ingest.conftest import Ingest, native, reason
from tests.support.eventually import eventually
from tests.support.kafka import Message, publish
from tests.unit.ingest.reading import read

SCHEMA = {
    "type": "object",
    "required": ["order_id"],
    "properties": {"order_id": {"type": "string"}, "total": {"type": "number"}},
}
LIVE_SECONDS = 2.0
numbers = itertools.count()


@pytest.fixture(scope="module")
async def engine(ingest: Ingest) -> AsyncIterator[AsyncEngine]:
    url = ingest.roles.deployment.service_urls["ingest"]
    engine = create_engine(url, schema="ingest", application="test")
    yield engine
    await engine.dispose()


@pytest.fixture
def type_() -> str:
    """An event type of this test alone, with all that a path does not like."""
    return f"Order / Completed: {next(numbers)}?"


def path_of(type_: str) -> str:
    return "/v1/event-schemas/" + quote(type_, safe="")


async def save(ingest: Ingest, type_: str, **fields: Any) -> httpx.Response:
    body = {"name": type_, "schema": SCHEMA, **fields}
    return await ingest.admin.put(path_of(type_), json=body)


async def publish_schema(ingest: Ingest, type_: str, **fields: Any) -> None:
    saved = await save(ingest, type_, **fields)
    assert saved.status_code == 200, saved.text
    answer = await ingest.admin.post(path_of(type_) + ":publish")
    assert answer.status_code == 200, answer.text


async def registered(engine: AsyncEngine, tracking: Tracking) -> str:
    """A new source that every process knows."""
    name = f"tracked-{next(numbers)}"
    async with transaction(engine) as tx:
        source = Source(id=name, name=name, channel="pos", tracking=tracking)
        assert await sources.insert(tx, source, created_by="test") is not None
    await asyncio.sleep(REFRESH_SECONDS)
    return name


async def send(ingest: Ingest, *events: bytes) -> None:
    topic = ingest.topics.channel("pos")
    await publish(ingest.stack.kafka, [Message(topic, event) for event in events])


async def test_from_draft_to_version(ingest: Ingest, type_: str) -> None:
    path = path_of(type_)
    assert (await ingest.admin.get(path)).status_code == 404
    made = await save(ingest, type_, description="At the till or in the shop.")
    assert (made.status_code, made.headers["etag"]) == (200, '"1"')
    assert made.json()["key"] == type_
    assert made.json()["schema"] == SCHEMA
    assert (made.json()["status"], made.json()["version"]) == ("draft", None)
    read_back = await ingest.admin.get(path)
    again = await ingest.admin.put(path, json=read_back.json(), headers={"If-Match": '"1"'})
    assert (again.status_code, again.headers["etag"]) == (200, '"2"')
    late = await ingest.admin.put(path, json=read_back.json(), headers={"If-Match": '"1"'})
    assert late.status_code == 412

    assert (await ingest.admin.get(path + "/versions")).json()["items"] == []
    first = await ingest.admin.post(path + ":publish", headers={"If-Match": '"2"'})
    assert (first.json()["status"], first.json()["version"]) == ("live", 1)
    await save(ingest, type_, schema={})
    second = await ingest.admin.post(path + ":publish", json={"version_policy": "pin"})
    assert (second.json()["version"], second.json()["version_policy"]) == (2, "pin")
    listed = (await ingest.admin.get(path + "/versions")).json()["items"]
    assert [(one["version"], one["schema"]) for one in listed] == [(2, {}), (1, SCHEMA)]
    assert (await ingest.admin.get(path + "/versions/1")).json() == listed[1]
    assert (await ingest.admin.get(path + "/versions/3")).status_code == 404

    log = await ingest.admin.get("/v1/audit", params={"kind": "event_schema", "key": type_})
    actions = [entry["action"] for entry in log.json()["items"]]
    assert actions == ["publish", "save", "publish", "save", "save"]


async def test_who_may_what(ingest: Ingest, type_: str) -> None:
    roles = {"viewer": (403, 403), "editor": (200, 403), "publisher": (200, 200)}
    for role, (saving, publishing) in roles.items():
        token = await ingest.admin.post("/v1/tokens", json={"name": role, "roles": [role]})
        headers = {"Authorization": f"Bearer {token.json()['token']}"}
        body = {"name": type_, "schema": SCHEMA}
        async with httpx.AsyncClient(base_url=ingest.url, headers=headers) as client:
            assert (await client.put(path_of(type_), json=body)).status_code == saving
            published = await client.post(path_of(type_) + ":publish")
            assert published.status_code == publishing
            assert (await client.get("/v1/event-schemas")).status_code == 200
            assert (await client.get("/v1/event-types")).status_code == 200


async def test_validate_names_path_and_rule(ingest: Ingest, type_: str) -> None:
    validate = path_of(type_) + ":validate"
    unknown = await ingest.admin.post(validate, json={"event": {}})
    assert unknown.status_code == 404
    await publish_schema(ingest, type_)
    await save(ingest, type_, schema={"required": ["basket"]})

    async def errors(**body: Any) -> list[tuple[str, str]]:
        answer = await ingest.admin.post(validate, json=body)
        assert answer.status_code in (200, 422), answer.text
        if answer.status_code == 200:
            assert answer.json() == {"valid": True}
            return []
        return [(one["path"], one["rule"]) for one in answer.json()["errors"]]

    event = {"properties": {"order_id": 7}}
    assert await errors() == []
    assert await errors(event=event) == [("properties.basket", "required")]
    assert await errors(event=event, version=1) == [("properties.order_id", "type")]
    assert await errors(event={"properties": {"order_id": "o"}}, version=1) == []
    assert await errors(schema={"type": 7}) == [("schema.type", "anyOf")]
    assert await errors(event=event, schema={}) == []
    assert (await ingest.admin.post(validate, json={"version": 9})).status_code == 404
    assert (await ingest.admin.post(validate, json={"event": {"traits": 7}})).status_code == 422
    for levels, status in ((50, 422), (200, 400)):
        deep = b'{"event":{"properties":' + b'{"a":' * levels + b"1" + b"}" * (levels + 2)
        assert (await ingest.admin.post(validate, content=deep)).status_code == status


@pytest.mark.parametrize(
    ("key", "change", "path"),
    [
        ("Seen", {"schema": {"type": 7}}, "schema.type"),
        ("Seen", {"schema": {"$ref": "https://a.example/b"}}, "schema.$ref"),
        ("Seen", {"schema": {"title": "x" * 65_536}}, "schema"),
        ("Seen", {"colour": "red"}, "colour"),
        ("Seen", {"name": None}, "name"),
        ("Seen", {"version_policy": "sometimes"}, "version_policy"),
        ("Seen", {"key": "Other"}, "key"),
        ("Seen ", {}, "key"),
        ("x/versions", {}, "key"),
        ("x:publish", {}, "key"),
        ("a\ab", {}, "path.key"),
        ("x" * 257, {}, "path.key"),
    ],
)
async def test_what_cannot_be_saved(
    ingest: Ingest, key: str, change: dict[str, Any], path: str
) -> None:
    answer = await save(ingest, key, **change)
    assert answer.status_code == 422
    assert path in [error["path"] for error in answer.json()["errors"]]


async def test_published_is_in_force_within_two_seconds(
    ingest: Ingest, engine: AsyncEngine, type_: str
) -> None:
    source = await registered(engine, "warn")
    await send(ingest, native(source, "before", type=type_))
    await ingest.touchpoints(source, 1)
    for version in (1, 2):
        await publish_schema(ingest, type_)
        await asyncio.sleep(LIVE_SECONDS)
        await send(ingest, native(source, f"v{version}", type=type_))
    seen = {one.message_id: one.schema for one in await ingest.touchpoints(source, 3)}
    assert seen == {"before": None, "v1": f"{type_}/1", "v2": f"{type_}/2"}


async def test_off_warn_and_reject(ingest: Ingest, engine: AsyncEngine, type_: str) -> None:
    off, warn, reject = [await registered(engine, mode) for mode in ("off", "warn", "reject")]
    await publish_schema(ingest, type_)
    await asyncio.sleep(LIVE_SECONDS)
    good, bad = {"order_id": "o-1"}, {"order_id": "o-2", "total": "free"}
    await send(
        ingest,
        *[
            native(source, name, type=type_, properties=properties)
            for source in (off, warn, reject)
            for name, properties in (("bad", bad), ("good", good))
        ],
        native(reject, "unplanned", type="Nobody planned this", properties=bad),
    )
    (untouched, *_) = by_id(await ingest.touchpoints(off, 2))
    assert (untouched.message_id, untouched.schema, untouched.context) == ("bad", None, {})

    noted, fine = by_id(await ingest.touchpoints(warn, 2))
    assert noted.schema == fine.schema == f"{type_}/1"
    (error,) = noted.context["concert"]["schema_errors"]
    assert (error["path"], error["rule"]) == ("properties.total", "type")
    assert noted.properties == bad
    assert fine.context == {}

    passed = by_id(await ingest.touchpoints(reject, 2))
    assert [one.message_id for one in passed] == ["good", "unplanned"]
    (letter,) = await ingest.dead_letters("pos", 1)
    assert reason(letter) == "schema"
    assert orjson.loads(letter.value or b"")["source"] == reject
    message = dict(letter.headers)["__connect.errors.exception.message"].decode()
    assert message.startswith("properties.total: ")
    assert f"(type of {type_}/1)" in message
    counted = 'concert_events_failed_total{channel="pos",reason="schema"} 1.0'
    assert counted in await ingest.worker.metrics()


async def test_pinned_events_choose_their_version(
    ingest: Ingest, engine: AsyncEngine, type_: str
) -> None:
    source = await registered(engine, "warn")
    await publish_schema(ingest, type_, schema={})
    await publish_schema(ingest, type_, version_policy="pin")
    await asyncio.sleep(LIVE_SECONDS)
    await send(
        ingest,
        native(source, "new", type=type_),
        native(source, "old", type=type_, schema=f"{type_}/1"),
    )
    new, old = by_id(await ingest.touchpoints(source, 2))
    assert (old.schema, old.context) == (f"{type_}/1", {})
    assert new.schema == f"{type_}/2"
    assert new.context["concert"]["schema_errors"][0]["path"] == "properties.order_id"


def by_id(touchpoints: list[Touchpoint]) -> list[Touchpoint]:
    return sorted(touchpoints, key=lambda one: one.message_id)


async def test_new_types_and_properties_are_listed(ingest: Ingest, type_: str) -> None:
    source = f"unplanned-{next(numbers)}"

    async def listed() -> list[dict[str, Any]]:
        answer = await ingest.admin.get("/v1/event-types", params={"source": source})
        items: list[dict[str, Any]] = answer.raise_for_status().json()["items"]
        return items

    await send(ingest, native(source, "1", type=type_, properties={"total": 1}))
    (one,) = await eventually(listed, until=bool)
    assert (one["type"], one["count"], one["schema_version"]) == (type_, 1, None)
    assert [(each["path"], each["types"]) for each in one["properties"]] == [("total", ["integer"])]

    await publish_schema(ingest, type_)
    more = {"total": 1.5, "products": [{"sku": "a"}]}
    await send(ingest, native(source, "2", type=type_, properties=more))
    (one,) = await eventually(listed, until=lambda items: items[0]["count"] == 2)
    assert one["schema_version"] == 1
    assert one["first_seen"] <= one["last_seen"]
    assert {each["path"]: each["types"] for each in one["properties"]} == {
        "total": ["integer", "number"],
        "products": ["array"],
        "products[]": ["object"],
        "products[].sku": ["string"],
    }
    assert (await ingest.admin.get("/v1/event-types?source=a%00b")).status_code == 400


async def test_types_in_pages(ingest: Ingest, engine: AsyncEngine) -> None:
    source = f"paged-{next(numbers)}"
    at = "2026-01-01T00:00:00.000Z"
    async with transaction(engine) as tx:
        await stored.write(tx, Seen([SeenType(source, f"T{n}", at, at, 1) for n in range(5)], []))
    found: list[str] = []
    query = {"source": source, "limit": "2"}
    while True:
        page = (await ingest.admin.get("/v1/event-types", params=query)).json()
        found += [item["type"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert found == [f"T{n}" for n in range(5)]


async def test_limits_hold_over_all_processes(engine: AsyncEngine) -> None:
    source, at = f"wide-{next(numbers)}", "2026-01-01T00:00:00.000Z"
    longest = "\N{PILE OF POO}" * 100

    def seen(process: str) -> Seen:
        types = [SeenType(source, f"{process}{n}", at, at, 1) for n in range(MAX_TYPES_PER_SOURCE)]
        types.append(SeenType(source, "shared", at, at, 1))
        paths = [f"{process}{n}" for n in range(MAX_PROPERTIES_PER_TYPE)]
        return Seen(
            types[::-1],
            [SeenProperty(source, "a0", path, "string", at) for path in (*paths, longest)],
        )

    for process in ("a", "b", "a"):
        async with transaction(engine) as tx:
            await stored.write(tx, seen(process))
    async with transaction(engine) as tx:
        await stored.write(tx, Seen([], [SeenProperty(source, "a0", "a1", "number", at)]))
        rows = await tx.execute(
            text("""
            SELECT (SELECT count(*) FROM discovered_type WHERE source = :s) AS types,
                   (SELECT count(DISTINCT path) FROM discovered_property WHERE source = :s),
                   (SELECT count(*) FROM discovered_property WHERE source = :s AND path = 'a1'),
                   (SELECT count FROM discovered_type WHERE source = :s AND type = 'a0')
            """),
            {"s": source},
        )
    assert tuple(rows.one()) == (MAX_TYPES_PER_SOURCE, MAX_PROPERTIES_PER_TYPE, 2, 2)


async def test_what_cannot_be_written_now_is_written_later(
    ingest: Ingest, engine: AsyncEngine
) -> None:
    discovery = Discovery()
    source = f"patient-{next(numbers)}"
    event = {"id": "1", "source": source, "type": "Seen", "properties": {"total": 1}}
    discovery.note(read(event))
    away = create_engine("postgresql://u@127.0.0.1:9/none", schema="ingest", application="test")
    with pytest.raises(Infrastructure):
        await WriteDiscoveries(away, discovery).write()
    await away.dispose()
    assert not await WriteDiscoveries(engine, discovery).write()
    listed = await ingest.admin.get("/v1/event-types", params={"source": source})
    (item,) = listed.json()["items"]
    assert [one["path"] for one in item["properties"]] == ["total"]
