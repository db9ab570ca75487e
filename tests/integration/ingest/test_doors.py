"""Every door of the collector: short forms, CloudEvents, webhooks, foreign pages, rates."""

import asyncio
import gzip
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx
import orjson
import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from tests.integration.ingest.conftest import Ingest, reason
from tests.support.eventually import eventually
from tests.support.kafka import read_all

TRACK: dict[str, Any] = {"type": "track", "event": "Seen", "userId": "u1", "messageId": "m-1"}
EVENT: dict[str, Any] = {"specversion": "1.0", "id": "c-1", "source": "/pos/1", "type": "Sold"}
MAPPING: dict[str, Any] = {
    "each": "orders",
    "type": {"const": "Order Completed"},
    "id": "no",
    "identifiers": [{"type": "email", "value": "mail"}],
    "properties": {"shop": "$.shop"},
}
PAGE = {"origin": "https://shop.example", "access-control-request-method": "POST"}


async def test_short_forms_and_the_key_in_a_header(ingest: Ingest) -> None:
    source, key = await ingest.source()
    calls: dict[str, dict[str, Any]] = {
        "t": TRACK,
        "i": {"userId": "u1", "messageId": "m-2", "context": {"traits": {"firstName": "Ada"}}},
        "p": {"userId": "u1", "messageId": "m-3", "name": "Home"},
        "s": {"userId": "u1", "messageId": "m-4", "name": "Start"},
        "g": {"userId": "u1", "messageId": "m-5", "groupId": "acme"},
        "a": {"userId": "u1", "messageId": "m-6", "previousId": "anon"},
        "b": {"batch": [{**TRACK, "messageId": "m-7"}], "timestamp": "2001-01-01T00:00:00Z"},
    }
    for name, call in calls.items():
        body = gzip.compress(orjson.dumps(call))
        headers = {"x-write-key": key, "content-type": "text/plain", "content-encoding": "gzip"}
        answer = await ingest.send(f"/v1/{name}", body, None, **headers)
        assert (answer.status_code, answer.json()) == (200, {"success": True, "accepted": 1})
    found = {one.message_id: one for one in await ingest.touchpoints(source, len(calls))}
    kinds = [found[f"m-{number}"].kind for number in range(1, 8)]
    assert kinds == ["track", "identify", "page", "screen", "group", "alias", "track"]
    assert found["m-2"].traits == {"first_name": "Ada"}, "as RudderStack's clients send them"
    assert found["m-7"].occurred_at > "2020", "the time of a batch is not that of its events"


async def test_pages_of_other_origins_may_publish_and_nothing_else(ingest: Ingest) -> None:
    _, key = await ingest.source()
    asked = {**PAGE, "access-control-request-headers": "authorization,content-type"}
    async with httpx.AsyncClient(base_url=ingest.url) as page:
        for path in ("/v1/t", "/v1/batch", "/v1/events"):
            answer = await page.options(path, headers=asked)
            assert answer.status_code == 200
            assert answer.headers["access-control-allow-origin"] == "*"
            assert "authorization" in answer.headers["access-control-allow-headers"].lower()
        for path in ("/v1/sources", "/v1/tokens", "/v1/audit"):
            answer = await page.options(path, headers=asked)
            assert answer.status_code == 405
            assert "access-control-allow-origin" not in answer.headers
        for given, status in ((key, 200), ("csk_wrong", 401)):
            headers = {"origin": PAGE["origin"], "x-write-key": given}
            answer = await page.post("/v1/t", json=TRACK, headers=headers)
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == "*"
        admin = {**ingest.admin.headers, "origin": PAGE["origin"]}
        answer = await page.get("/v1/sources", headers=admin)
        assert "access-control-allow-origin" not in answer.headers


async def test_cloudevents_of_the_sdk_in_every_mode(ingest: Ingest) -> None:
    source, key = await ingest.source("kiosk")

    def event(number: int) -> CloudEvent:
        attributes = {
            "id": f"c-{number}",
            "source": "/kiosk/1",
            "type": "Kiosk Session Started",
            "time": datetime(2026, 1, 2, tzinfo=UTC),
            "subject": "caf\u00e9 1",
        }
        return CloudEvent(attributes, {"n": number})

    async def post(headers: dict[str, str], body: bytes) -> httpx.Response:
        return await ingest.send("/v1/events", body, key, **headers)

    binary, structured = to_binary_event(event(1)), to_structured_event(event(2))
    for message in (binary, structured):
        answer = await post(dict(message.headers), bytes(message.body))
        assert (answer.status_code, answer.json()) == (200, {"success": True, "accepted": 1})
    one = bytes(to_structured_event(event(3)).body)
    batch = b"[" + b",".join([one, b'{"id":NaN}', one.replace(b"c-3", b"c-4")]) + b"]"
    many = {"content-type": "application/cloudevents-batch+json; charset=utf-8"}
    assert (await post(many, batch)).json()["accepted"] == 3
    assert (await post(many, b"[]")).json() == {"success": True, "accepted": 0}
    found = {one.message_id: one for one in await ingest.touchpoints(source, 4)}
    assert [found[f"c-{n}"].properties for n in range(1, 5)] == [{"n": n} for n in (1, 2, 3, 3)]
    assert {one.context["cloudevents"]["subject"] for one in found.values()} == {"caf\u00e9 1"}
    refused = [
        (EVENT, {"content-type": "application/json"}, "ce-id: this header is required"),
        ({**EVENT, "type": None}, {"content-type": "application/cloudevents+json"}, "type: is"),
        (EVENT, many, "expected"),
    ]
    for body, headers, words in refused:
        answer = await post(headers, orjson.dumps(body))
        assert answer.status_code == 400
        assert words in answer.json()["detail"]
    assert (await ingest.send("/v1/events", b"{}", None)).status_code == 401
    letters = await ingest.dead_letters("kiosk", 1 + len(refused))
    assert sorted(reason(letter) for letter in letters) == [
        *("malformed_payload",) * 2,
        *("spec_violation",) * 2,
    ]


async def test_a_webhook_from_its_mapping_to_its_touchpoints(ingest: Ingest) -> None:
    made = {"id": "hook", "name": "Hook", "channel": "direct_mail", "dialect": "webhook"}
    wrong = {**MAPPING, "identifiers": [{"type": "email", "value": "a..b"}]}
    answer = await ingest.admin.post("/v1/sources", json={**made, "mapping": wrong})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == "mapping.identifiers[0].value"
    assert (await ingest.admin.post("/v1/sources", json=made)).status_code == 422
    answer = await ingest.admin.post("/v1/sources", json={**made, "mapping": MAPPING})
    assert (answer.status_code, answer.json()["mapping"]) == (201, MAPPING)
    key = (await ingest.admin.post("/v1/sources/hook/keys")).json()["key"]
    _, other = await ingest.source()

    orders = [{"no": n, "mail": f"p{n}@b.c"} for n in range(3)]
    good = orjson.dumps({"shop": "Lyon", "orders": orders})
    half = orjson.dumps({"shop": "Lyon", "orders": [{"no": 3, "mail": "p@b.c"}, {"no": []}]})
    none = orjson.dumps({"shop": "Lyon"})
    ways: list[tuple[str, str | None, dict[str, str]]] = [
        ("/v1/webhooks/hook", key, {}),
        (f"/v1/webhooks/hook?key={key}", None, {}),
        ("/v1/webhooks/hook", None, {"x-write-key": key}),
    ]
    for (path, user, headers), body in zip(ways, (good, half, none), strict=True):
        answer = await ingest.send(path, body, user, **headers)
        assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
    for path, user, status in (
        ("/v1/webhooks/hook", other, 401),
        ("/v1/webhooks/hook", None, 401),
        ("/v1/webhooks/hook?key=csk_wrong", None, 401),
    ):
        assert (await ingest.send(path, good, user)).status_code == status
    assert (await ingest.send("/v1/webhooks/hook", b"no json", key)).status_code == 400

    found = {one.message_id: one for one in await ingest.touchpoints("hook", 4)}
    assert found.keys() == {"0", "1", "2", "3"}
    assert found["1"].properties == {"shop": "Lyon"}
    assert found["1"].identifiers[0].value == "p1@b.c"
    letters = await ingest.dead_letters("direct_mail", 3)
    kept = {letter.value: reason(letter) for letter in letters}
    assert kept == {half: "adapter", none: "adapter", b"no json": "malformed_payload"}


async def test_a_webhook_needs_a_source_that_speaks_it(ingest: Ingest) -> None:
    source, key = await ingest.source()
    assert (await ingest.send(f"/v1/webhooks/{source}", b"{}", key)).status_code == 409


async def test_a_source_above_its_rate_is_told_when_to_come_again(ingest: Ingest) -> None:
    source, key = await ingest.source("push")
    _, free = await ingest.source("push")
    database = await asyncpg.connect(ingest.roles.deployment.owner_url)
    try:
        changed = "UPDATE ingest.source SET events_per_second = 5 WHERE id = $1"
        assert await database.execute(changed, source) == "UPDATE 1"
    finally:
        await database.close()
    sent = 0

    async def held_back() -> httpx.Response:
        nonlocal sent
        batch = [{**TRACK, "messageId": f"r-{sent}-{n}"} for n in range(10)]
        answer = await ingest.send("/v1/batch", orjson.dumps({"batch": batch}), key)
        sent += 10 if answer.status_code == 200 else 0
        return answer

    refused = await eventually(held_back, until=lambda answer: answer.status_code != 200, within=30)
    assert refused.status_code == 429
    wait = int(refused.headers["retry-after"])
    assert 1 <= wait <= 2
    assert (await ingest.send("/v1/track", orjson.dumps(TRACK), free)).status_code == 200
    before = sent
    await asyncio.sleep(wait)
    assert (await held_back()).status_code == 200
    assert sent == before + 10
    raw = await read_all(ingest.stack.kafka, ingest.topics.channel("push"))
    mine = [one for one in raw if dict(one.headers)["x-concert-source"] == source.encode()]
    assert len(mine) == sent, "what was answered with 429 is not in Kafka"


@pytest.mark.parametrize("count", [10_000])
async def test_very_many_keys_and_repeated_ones(ingest: Ingest, count: int) -> None:
    source, key = await ingest.source("sms")
    many = {f"k{number}": number for number in range(count)}
    wide = orjson.dumps({**TRACK, "messageId": "wide", "properties": many})
    members = wide[:-2] + b',"k' + str(count - 1).encode() + b'":1}}'
    body = b'{"batch":[' + b",".join([wide, members, orjson.dumps(TRACK)]) + b"]}"
    assert (await ingest.send("/v1/batch", body, key)).json()["accepted"] == 3
    found = {one.message_id: one for one in await ingest.touchpoints(source, 2)}
    assert found.keys() == {"wide", "m-1"}
    assert found["wide"].properties == many
    (letter,) = await ingest.dead_letters("sms", 1)
    assert reason(letter) == "malformed_payload"
    assert letter.value == members
