"""Failed events on real Kafka and PostgreSQL: kept once, grouped, corrected, replayed."""

import re
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest

from services.ingest.domain.failed_event import failed_event
from services.ingest.storage import failed_events
from services.ingest.use_cases.forget_failed_events import forget_failed_events
from shared import clock
from shared.contracts.dead_letter import DeadLetter, Failure
from shared.contracts.times import parse_rfc3339, rfc3339
from shared.contracts.topics import Topics
from shared.ids import random_id, touchpoint_id
from shared.postgres.engine import create_engine
from shared.postgres.transaction import transaction
from tests.integration.ingest.conftest import OPEN, Ingest, native
from tests.support.eventually import eventually
from tests.support.kafka import Message, end_offsets, publish, read_all
from tests.support.postgres import Database
from tests.support.processes import RoleProcess, RoleProcesses, free_port
from tests.support.stack import Stack

WRONG_TIME = [{"op": "replace", "path": "occurred_at", "value": "2025-01-02T03:04:05Z"}]


@pytest.fixture(scope="module", autouse=True)
async def failures(ingest: Ingest) -> RoleProcess:
    """The role that keeps failed events."""
    return await ingest.roles.start_ready("ingest", "failures")


async def failed(ingest: Ingest, source: str, count: int, **query: str) -> list[dict[str, Any]]:
    """The failed events of a source once there are `count`; fails when there are more."""

    async def read() -> list[dict[str, Any]]:
        params = {"source": source, "limit": "200", **query}
        answer = await ingest.admin.get("/v1/failed-events", params=params)
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    found = await eventually(
        read, until=lambda seen: len(seen) >= count, within=60, what=f"{count} of {source}"
    )
    assert len(found) == count
    return found


async def replay(ingest: Ingest, **body: Any) -> dict[str, Any]:
    answer = await ingest.admin.post("/v1/failed-events:replay", json=body)
    assert answer.status_code == 200, answer.text
    outcome: dict[str, Any] = answer.json()
    return outcome


def wire(instant: str) -> str:
    """An instant of the API as touchpoints have it."""
    return rfc3339(parse_rfc3339(instant))


async def publish_bad(ingest: Ingest, source: str, *names: str, **fields: Any) -> None:
    """Records whose time is none, to one partition of the kiosk's channel."""
    topic = ingest.topics.channel("kiosk")
    wrong = {"occurred_at": "soon", **fields}
    await publish(
        ingest.stack.kafka,
        [Message(topic, native(source, name, **wrong), b"k", partition=2) for name in names],
    )


async def test_bad_records_become_rows_and_groups(ingest: Ingest) -> None:
    topic = ingest.topics.channel("pos")
    bad = [
        native("bad", "1", occurred_at="'ada@example.com'"),
        native("bad", "2", occurred_at="'bob@example.com'"),
        native("bad", "3", properties=[]),
        native("bad", "4", text="x" * 300_000),
    ]
    placed = await publish(
        ingest.stack.kafka, [Message(topic, value, b"k", (("h", b"1"),)) for value in bad]
    )
    rows = await failed(ingest, "bad", 4)
    by_offset = {}
    for row in rows:
        answer = await ingest.admin.get(f"/v1/failed-events/{row['id']}")
        by_offset[answer.json()["offset"]] = answer.json()
    one, _, _, large = (by_offset[meta.offset] for meta in placed)
    assert (one["topic"], one["partition"]) == (topic, placed[0].partition)
    assert (one["channel"], one["event_type"], one["status"]) == ("pos", "Seen", "new")
    assert (one["reason"], one["path"], one["attempts"]) == ("spec_violation", "occurred_at", 1)
    assert (one["payload"], one["key"]) == (bad[0].decode(), "k")
    assert one["headers"] == [{"name": "h", "value": "1"}]
    assert (large["reason"], large["whole"]) == ("too_large", False)
    assert (large["size"], len(large["payload"])) == (len(bad[3]), 1024)

    answer = await ingest.admin.get("/v1/failed-events/groups", params={"source": "bad"})
    groups = {group["fingerprint"]: group for group in answer.json()["items"]}
    assert sorted(group["count"] for group in groups.values()) == [1, 1, 2]
    times = groups[one["fingerprint"]]
    assert times["count"] == 2
    assert times["sentence"] == "Seen of bad: occurred_at: '…' is no RFC 3339 time"
    assert "example.com" not in answer.text
    again = await failed(ingest, "bad", 2, fingerprint=times["fingerprint"])
    assert times["example_id"] in {row["id"] for row in again}


async def test_a_new_mistake_is_counted_once(ingest: Ingest, failures: RoleProcess) -> None:
    async def counted() -> float:
        found = re.search(
            r'failed_event_groups_total{channel="kiosk"} (.+)', await failures.metrics()
        )
        assert found is not None
        return float(found[1])

    before = await counted()
    await publish_bad(ingest, "mistaken", "1", "2")
    await failed(ingest, "mistaken", 2)
    await publish_bad(ingest, "mistaken", "3")
    await failed(ingest, "mistaken", 3)
    assert await eventually(counted, until=lambda now: now > before) == before + 1


async def test_pages_show_everything_once(ingest: Ingest) -> None:
    await publish_bad(ingest, "paged", *[str(n) for n in range(7)])
    await failed(ingest, "paged", 7)
    for path, expected in (("", 7), ("/groups", 1)):
        seen: list[str] = []
        cursor: str | None = None
        while True:
            params = {"source": "paged", "limit": "2", **({"cursor": cursor} if cursor else {})}
            page = (await ingest.admin.get(f"/v1/failed-events{path}", params=params)).json()
            seen += [item.get("id", item["fingerprint"]) for item in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert len(seen) == len(set(seen)) == expected
    later = (clock.now() + timedelta(hours=1)).isoformat()
    await failed(ingest, "paged", 0, since=later)
    for wrong in ("since=soon", "since=2025-01-01T00:00:00", "source=%00", "cursor=eA=="):
        answer = await ingest.admin.get(f"/v1/failed-events?{wrong}")
        assert answer.status_code in (400, 422), wrong
    unknown = await ingest.admin.get(f"/v1/failed-events/{random_id()}")
    assert unknown.status_code == 404


async def test_a_dead_letter_that_comes_twice_is_one_row(ingest: Ingest) -> None:
    await publish_bad(ingest, "twice", "1")
    await failed(ingest, "twice", 1)
    dead = ingest.topics.dead_letters(ingest.topics.channel("kiosk"))
    letters = [
        Message(dead, record.value, record.key, tuple(record.headers), record.partition)
        for record in await read_all(ingest.stack.kafka, dead)
        if b'"twice"' in record.value
    ]
    await publish(ingest.stack.kafka, letters * 3)
    await publish_bad(ingest, "behind", "1")
    await failed(ingest, "behind", 1)
    (row,) = await failed(ingest, "twice", 1)
    assert row["attempts"] == 1


async def test_what_stands_there_without_our_headers_is_kept_too(ingest: Ingest) -> None:
    dead = ingest.topics.dead_letters(ingest.topics.channel("kiosk"))
    await publish(ingest.stack.kafka, [Message(dead, b'{"source":"stranger"}', None, (), 0)])
    (row,) = await failed(ingest, "stranger", 1)
    assert (row["reason"], row["channel"]) == ("unknown_error", "kiosk")
    outcome = await replay(ingest, filter={"source": "stranger"})
    assert (outcome["skipped"], outcome["published"]) == ({"not_raw": 1}, 0)


async def test_a_dry_run_says_what_would_pass_and_writes_nothing(ingest: Ingest) -> None:
    await publish_bad(ingest, "dry", *[str(n) for n in range(12)])
    await publish_bad(ingest, "dry", "still", properties=[])
    await failed(ingest, "dry", 13)
    raw = ingest.topics.channel("kiosk")
    before = await end_offsets(ingest.stack.kafka, raw), await failed(ingest, "dry", 13)
    audited = (await ingest.admin.get("/v1/audit", params={"kind": "failed_events"})).json()
    outcome = await replay(ingest, filter={"source": "dry"}, steps=WRONG_TIME, dry_run=True)
    assert (outcome["selected"], outcome["passing"], outcome["failing"]) == (13, 12, 1)
    assert (outcome["published"], outcome["replay_id"], outcome["more"]) == (0, None, False)
    assert len(outcome["examples"]) == 10
    example = next(one for one in outcome["examples"] if one["error"] is None)
    assert '"occurred_at":"soon"' in example["before"]
    assert '"occurred_at":"2025-01-02T03:04:05Z"' in example["after"]
    untouched = await replay(ingest, filter={"source": "dry"}, dry_run=True)
    assert (untouched["passing"], untouched["failing"]) == (0, 13)
    assert untouched["examples"][0]["error"]["path"] == "occurred_at"
    assert before == (await end_offsets(ingest.stack.kafka, raw), await failed(ingest, "dry", 13))
    now = (await ingest.admin.get("/v1/audit", params={"kind": "failed_events"})).json()
    assert now == audited


async def test_a_corrected_replay_is_one_touchpoint_however_often(ingest: Ingest) -> None:
    await publish_bad(ingest, "fixed", "1")
    (row,) = await failed(ingest, "fixed", 1)
    outcome = await replay(ingest, filter={"ids": [row["id"]]}, steps=WRONG_TIME)
    assert (outcome["selected"], outcome["passing"], outcome["published"]) == (1, 1, 1)
    (one,) = await ingest.touchpoints("fixed", 1)
    assert one.id == str(touchpoint_id("fixed", "1"))
    assert one.occurred_at == "2025-01-02T03:04:05.000Z"
    assert not one.historical
    detail = (await ingest.admin.get(f"/v1/failed-events/{row['id']}")).json()
    assert one.received_at == wire(detail["received_at"]), "as it first came"
    assert one.raw.offset > detail["offset"]
    (row,) = await failed(ingest, "fixed", 1)
    assert (row["status"], row["replay_id"]) == ("replayed", outcome["replay_id"])

    nothing = await replay(ingest, filter={"source": "fixed"}, steps=WRONG_TIME)
    assert nothing["selected"] == 0
    other = [{"op": "remove", "path": "occurred_at"}]
    again = await replay(ingest, filter={"source": "fixed", "status": "replayed"}, steps=other)
    assert again["published"] == 1
    copies = await ingest.touchpoints("fixed", 2)
    assert {copy.id for copy in copies} == {one.id}, "the profile service drops the second"
    assert {copy.received_at for copy in copies} == {one.received_at}

    for steps in (
        [*other, {"op": "replace", "path": "id", "value": "another"}],
        [*other, {"op": "remove", "path": "id"}],
        [*other, {"op": "replace", "path": "source", "value": "other"}],
    ):
        refused = await replay(
            ingest, filter={"source": "fixed", "status": "replayed"}, steps=steps
        )
        assert (refused["published"], refused["skipped"]) == (0, {"spec_violation": 1}), steps
    assert len(await ingest.touchpoints("fixed", 2)) == 2

    log = await ingest.admin.get(
        "/v1/audit", params={"kind": "failed_events", "key": outcome["replay_id"]}
    )
    (entry,) = log.json()["items"]
    assert entry["action"] == "replay"
    assert entry["after"]["filter"]["ids"] == [row["id"]]
    assert entry["after"]["steps"][0]["path"] == "occurred_at"
    assert "2025-01-02" not in log.text, "a value may be personal data"


async def test_an_event_without_id_is_one_touchpoint_too(ingest: Ingest) -> None:
    topic = ingest.topics.channel("kiosk")
    event = {"source": "nameless", "type": "Seen", "properties": [], "n": 1}
    await publish(ingest.stack.kafka, [Message(topic, orjson.dumps(event), None, (), 1)])
    await failed(ingest, "nameless", 1)
    for value, status in (({"a": 1}, "new"), ({"a": 2}, "replayed")):
        steps = [{"op": "replace", "path": "properties", "value": value}]
        chosen = {"source": "nameless", "status": status}
        assert (await replay(ingest, filter=chosen, steps=steps))["published"] == 1
    found = await ingest.touchpoints("nameless", 2)
    assert len({one.id for one in found}) == 1


async def test_a_replay_that_fails_again_is_the_same_failed_event(ingest: Ingest) -> None:
    await publish_bad(ingest, "again", "1")
    (row,) = await failed(ingest, "again", 1)
    half = [{"op": "remove", "path": "occurred_at"}, {"op": "replace", "path": "type", "value": 7}]
    outcome = await replay(ingest, filter={"source": "again"}, steps=half)
    assert (outcome["passing"], outcome["failing"], outcome["published"]) == (0, 1, 1)

    async def tried() -> dict[str, Any]:
        (found,) = await failed(ingest, "again", 1)
        return found

    now = await eventually(tried, until=lambda found: found["attempts"] == 2)
    assert (now["id"], now["status"], now["path"]) == (row["id"], "new", "type")
    assert now["fingerprint"] != row["fingerprint"]
    assert now["received_at"] == row["received_at"]
    outcome = await replay(ingest, filter={"source": "again"}, steps=WRONG_TIME)
    assert outcome["published"] == 1, "steps start from what was published"
    (one,) = await ingest.touchpoints("again", 1)
    assert one.id == str(touchpoint_id("again", "1"))


async def test_made_up_headers_of_a_replay_change_nothing_else(ingest: Ingest) -> None:
    await publish_bad(ingest, "victim", "1")
    (row,) = await failed(ingest, "victim", 1)
    headers = (
        ("concert-failed-event", row["id"].encode()),
        ("concert-replay", str(random_id()).encode()),
    )
    topic = ingest.topics.channel("kiosk")
    bad = native("forger", "1", occurred_at="never")
    await publish(ingest.stack.kafka, [Message(topic, bad, b"k", headers, 2)])
    await failed(ingest, "forger", 1)
    assert await failed(ingest, "victim", 1) == [row]
    good = Message(topic, native("forger", "2"), b"k", headers, 2)
    await publish(ingest.stack.kafka, [good])
    (one,) = await ingest.touchpoints("forger", 1)
    assert one.received_at > wire(row["received_at"])


async def test_an_old_replay_is_history(ingest: Ingest) -> None:
    await publish_bad(ingest, "old", "1")
    await failed(ingest, "old", 1)
    port = free_port()
    extra = OPEN | {"CONCERT_REPLAY_TRIGGER_HOURS": "0.00001", "CONCERT_HTTP_PORT": str(port)}
    strict = await ingest.roles.start_ready("ingest", "collector", extra=extra)
    headers = dict(ingest.admin.headers)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
        body = {"filter": {"source": "old"}, "steps": WRONG_TIME}
        answer = await client.post("/v1/failed-events:replay", json=body)
    strict.kill()
    assert (answer.json()["passing"], answer.json()["historical"]) == (1, 1)
    (one,) = await ingest.touchpoints("old", 1)
    assert one.historical


async def test_an_event_of_the_collector_is_corrected(ingest: Ingest) -> None:
    source, key = await ingest.source()
    event = b'{"type":"track","event":"Seen","userId":"u","messageId":"m","properties":{"n":NaN}}'
    answer = await ingest.send("/v1/batch", b'{"batch":[' + event + b"]}", key)
    assert answer.status_code == 200
    (row,) = await failed(ingest, source, 1)
    assert row["reason"] == "malformed_payload"
    steps = [{"op": "remove", "path": "properties.n"}]
    assert (await replay(ingest, filter={"source": source}, steps=steps))["passing"] == 1
    (one,) = await ingest.touchpoints(source, 1)
    assert (one.id, one.type) == (str(touchpoint_id(source, "m")), "Seen")
    assert one.received_at == wire(row["received_at"])


async def test_what_the_door_refused_is_corrected_to_what_it_was_meant_to_be(
    ingest: Ingest,
) -> None:
    source, key = await ingest.source("email")
    event = b'{"specversion":"1.0","id":"c-1","source":"/tills/7","data":{"total":7}}'
    call = b'{"event":"Seen","userId":"u","messageId":"m","properties":{"n":NaN}}'
    structured = {"content-type": "application/cloudevents+json; charset=utf-8"}
    many = {"content-type": "application/cloudevents-batch+json"}
    for path, body, headers, steps in (
        ("/v1/events", event, structured, [{"op": "replace", "path": "type", "value": "Sold"}]),
        (
            "/v1/events",
            event.replace(b"c-1", b"c-2"),
            many,
            [{"op": "replace", "path": "type", "value": "Sold"}],
        ),
        ("/v1/track", call, {}, [{"op": "remove", "path": "properties.n"}]),
    ):
        assert (await ingest.send(path, body, key, **headers)).status_code == 400
        await failed(ingest, source, 1, status="new")
        outcome = await replay(ingest, filter={"source": source}, steps=steps)
        assert (outcome["passing"], outcome["published"]) == (1, 1), outcome
    found = {one.message_id: one for one in await ingest.touchpoints(source, 3)}
    assert found["c-1"].id == str(touchpoint_id("/tills/7", "c-1"))
    assert (found["c-1"].type, found["c-1"].properties) == ("Sold", {"total": 7})
    assert found["c-2"].id == str(touchpoint_id("/tills/7", "c-2"))
    assert found["m"].id == str(touchpoint_id(source, "m"))
    assert (found["m"].kind, found["m"].type) == ("track", "Seen")


async def test_a_refused_body_that_was_cut_is_not_taken_for_the_whole(ingest: Ingest) -> None:
    source, key = await ingest.source("push")
    body = b'{"event":"Seen","properties":{"x":"' + b"y" * 3_000_000
    assert (await ingest.send("/v1/track", body, key)).status_code == 400
    (row,) = await failed(ingest, source, 1)
    assert (row["reason"], row["whole"]) == ("malformed_payload", False)
    assert row["size"] == len(body)
    outcome = await replay(ingest, filter={"source": source})
    assert (outcome["skipped"], outcome["published"]) == ({"not_whole": 1}, 0)


async def hook(ingest: Ingest, source: str, mapping: dict[str, Any]) -> str:
    """Register a webhook source; its key."""
    body = {
        "id": source,
        "name": source,
        "channel": "sms",
        "dialect": "webhook",
        "mapping": mapping,
    }
    made = await ingest.admin.post("/v1/sources", json=body)
    assert made.status_code == 201, made.text
    key: str = (await ingest.admin.post(f"/v1/sources/{source}/keys")).json()["key"]
    return key


async def test_items_of_a_webhook_are_one_touchpoint_each_however_often_corrected(
    ingest: Ingest,
) -> None:
    mapping = {"each": "rows", "type": {"const": "Row"}, "occurred_at": "at"}
    key = await hook(ingest, "rows", mapping)
    body = orjson.dumps({"rows": [{"n": 1, "at": "soon"}, {"n": 2, "at": "2025-01-02T03:04:05Z"}]})
    assert (await ingest.send("/v1/webhooks/rows", body, key)).status_code == 200
    (neighbour,) = await ingest.touchpoints("rows", 1)
    await failed(ingest, "rows", 1)
    for status, value in (("new", "2025-01-02T03:04:05Z"), ("replayed", "2025-02-03T04:05:06Z")):
        steps = [{"op": "replace", "path": "rows[*].at", "value": value}]
        outcome = await replay(ingest, filter={"source": "rows", "status": status}, steps=steps)
        assert outcome["published"] == 1
    found = await ingest.touchpoints("rows", 5)
    assert len({one.id for one in found}) == 2
    assert [one.id for one in found].count(neighbour.id) == 3
    chosen = {"source": "rows", "status": "replayed"}
    steps = [{"op": "remove", "path": "rows[0]"}]
    outcome = await replay(ingest, filter=chosen, steps=steps, dry_run=True)
    assert outcome["skipped"] == {"spec_violation": 1}
    assert outcome["examples"][0]["error"]["path"] == "mapping.each"


async def test_a_part_that_still_fails_leaves_the_others_their_ids(ingest: Ingest) -> None:
    mapping = {"each": "rows", "type": {"const": "Row"}, "occurred_at": "at"}
    key = await hook(ingest, "parts", mapping)
    body = orjson.dumps({"rows": [{"n": 1, "at": "soon"}, {"n": 2, "at": "2025-01-02T03:04:05Z"}]})
    assert (await ingest.send("/v1/webhooks/parts", body, key)).status_code == 200
    await failed(ingest, "parts", 1)
    steps = [{"op": "replace", "path": "rows[1].n", "value": 3}]
    outcome = await replay(ingest, filter={"source": "parts"}, steps=steps)
    assert (outcome["failing"], outcome["published"]) == (1, 1)
    first, again = await ingest.touchpoints("parts", 2)
    assert first.id == again.id


async def test_a_form_is_read_as_a_form_again(ingest: Ingest) -> None:
    mapping = {
        "type": {"const": "SMS Received"},
        "id": "MessageSid",
        "occurred_at": "At",
        "identifiers": [{"type": "phone", "value": "From"}],
    }
    key = await hook(ingest, "texts", mapping)
    stated = {"content-type": "application/x-www-form-urlencoded"}
    good = b"MessageSid=SM1&From=%2B33612345678&Body=Bonjour+%C3%A0+tous"
    bad = b"MessageSid=SM2&From=%2B33612345678&At=soon"
    for body in (good, bad):
        assert (await ingest.send("/v1/webhooks/texts", body, key, **stated)).status_code == 200
    one = await ingest.touchpoint("texts", "SM1")
    assert one.properties["Body"] == "Bonjour \u00e0 tous"
    assert [(each.type, each.value) for each in one.identifiers] == [("phone", "+33612345678")]
    (row,) = await failed(ingest, "texts", 1)
    assert (row["reason"], row["path"]) == ("adapter", "At")
    untouched = await replay(ingest, filter={"source": "texts"}, dry_run=True)
    assert untouched["examples"][0]["error"]["path"] == "At", "read as a form"
    steps = [{"op": "remove", "path": "At"}]
    outcome = await replay(ingest, filter={"source": "texts"}, steps=steps)
    assert (outcome["passing"], outcome["published"]) == (1, 1)
    corrected = await ingest.touchpoint("texts", "SM2")
    assert corrected.properties == {"MessageSid": "SM2", "From": "+33612345678"}
    fields = b"&".join([b"n=1"] * 1001)
    for body, words in ((b"no form", "no form"), (fields, "1001 fields")):
        answer = await ingest.send("/v1/webhooks/texts", body, key, **stated)
        assert answer.status_code == 400
        assert words in answer.json()["detail"]
    await failed(ingest, "texts", 3)


async def test_a_source_header_that_is_no_text_harms_nobody(ingest: Ingest) -> None:
    topic = ingest.topics.channel("kiosk")
    odd = (("x-concert-source", b"\xff"),)
    await publish(ingest.stack.kafka, [Message(topic, native("odd", "1"), b"k", odd, 2)])
    name = "\ufffd"
    await failed(ingest, name, 1)
    assert (await replay(ingest, filter={"source": name}))["published"] == 1
    _, key = await ingest.source("kiosk")
    call = b'{"event":"Seen","userId":"u","messageId":"after"}'
    assert (await ingest.send("/v1/track", call, key)).status_code == 200
    assert ingest.collector.exit_code() is None


async def test_discarded_events_are_not_new_any_more(ingest: Ingest) -> None:
    await publish_bad(ingest, "junk", "1", "2")
    await failed(ingest, "junk", 2)
    answer = await ingest.admin.post(
        "/v1/failed-events:discard", json={"filter": {"source": "junk"}}
    )
    assert (answer.status_code, answer.json()) == (200, {"discarded": 2})
    await failed(ingest, "junk", 2, status="discarded")
    assert (await replay(ingest, filter={"source": "junk"}))["selected"] == 0
    log = (await ingest.admin.get("/v1/audit", params={"kind": "failed_events"})).json()
    entry = next(one for one in log["items"] if one["action"] == "discard")
    assert entry["after"]["discarded"] == 2
    assert entry["after"]["filter"] == {"source": "junk", "status": "new"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"filter": {}},
        {"filter": {"status": "new"}},
        {"filter": {"ids": []}},
        {"filter": {"source": "shop", "status": "recovered"}},
        {"filter": {"reason": "spec_violation"}, "steps": [{"op": "remove", "path": ".a"}]},
        {"filter": {"reason": "spec_violation"}, "steps": [{"op": "cast", "path": "a"}]},
        {"filter": {"reason": "spec_violation"}, "steps": [{"op": "replace", "path": "a"}]},
        {"filter": {"reason": "spec_violation"}, "steps": [{"op": "explode", "path": "a"}]},
        {"filter": {"reason": "spec_violation"}, "steps": [{"op": "remove", "path": "a"}] * 21},
        {"filter": {"reason": "spec_violation"}, "more": 1},
    ],
)
async def test_what_cannot_be_meant_is_refused(ingest: Ingest, body: dict[str, Any]) -> None:
    answer = await ingest.admin.post("/v1/failed-events:replay", json=body)
    assert answer.status_code == 422, answer.text


async def test_who_may_see_and_who_may_replay(ingest: Ingest) -> None:
    await publish_bad(ingest, "secret", "1", occurred_at="ada@example.com", traits={"email": "a"})
    (row,) = await failed(ingest, "secret", 1)
    chosen = {"filter": {"source": "secret"}, "dry_run": True}
    for role, sees, operates in (
        ("viewer", False, False),
        ("editor", False, False),
        ("publisher", False, False),
        ("privacy", True, False),
        ("ops", True, True),
        ("admin", True, True),
    ):
        made = await ingest.admin.post("/v1/tokens", json={"name": role, "roles": [role]})
        assert made.status_code == 201, made.text
        headers = {"Authorization": f"Bearer {made.json()['token']}"}
        async with httpx.AsyncClient(base_url=ingest.url, headers=headers) as client:
            listed = await client.get("/v1/failed-events", params={"source": "secret"})
            groups = await client.get("/v1/failed-events/groups", params={"source": "secret"})
            detail = await client.get(f"/v1/failed-events/{row['id']}")
            tried = await client.post("/v1/failed-events:replay", json=chosen)
            dropped = await client.post(
                "/v1/failed-events:discard", json={"filter": {"source": "nobody"}}
            )
        assert {listed.status_code, groups.status_code, detail.status_code} == {200}
        assert "example.com" not in groups.text
        assert ("example.com" in listed.text) is sees, role
        assert ("example.com" in detail.text) is sees, role
        assert detail.json()["masked"] is not sees
        expected = 200 if operates else 403
        assert (tried.status_code, dropped.status_code) == (expected, expected), role


async def test_what_a_source_declares_as_personal_is_masked(ingest: Ingest) -> None:
    """In the shape in which it was sent: here a webhook's, whose mapping renames it."""
    hook = {
        "id": "hooked",
        "name": "Hooked",
        "channel": "kiosk",
        "dialect": "webhook",
        "mapping": {
            "type": {"const": "Booked"},
            "occurred_at": "at",
            "identifiers": [{"type": "loyalty_id", "value": "card"}],
            "properties": {"guest": "who.called", "room": "room"},
        },
        "pii": {"properties.guest": "name", "traits.nick": "name"},
    }
    assert (await ingest.admin.post("/v1/sources", json=hook)).status_code == 201
    key = (await ingest.admin.post("/v1/sources/hooked/keys")).json()["key"]
    sent = {
        "at": "Bob",
        "card": "L1906",
        "who": {"called": "Bob", "nick": "Bobby"},
        "room": "Gala",
    }
    answer = await ingest.send("/v1/webhooks/hooked", orjson.dumps(sent), key)
    assert answer.status_code == 200, answer.text
    (row,) = await failed(ingest, "hooked", 1)
    assert "Bob" in row["message"]
    made = await ingest.admin.post("/v1/tokens", json={"name": "v", "roles": ["viewer"]})
    headers = {"Authorization": f"Bearer {made.json()['token']}"}
    async with httpx.AsyncClient(base_url=ingest.url, headers=headers) as client:
        listed = await client.get("/v1/failed-events", params={"source": "hooked"})
        detail = await client.get(f"/v1/failed-events/{row['id']}")
    assert orjson.loads(detail.json()["payload"]) == {
        "at": "Bob",
        "card": "***",
        "who": {"called": "***", "nick": "***"},
        "room": "Gala",
    }
    for shown in (listed.json()["items"][0], detail.json()):
        assert shown["message"] == "'…' is no RFC 3339 time"
    whole = (await ingest.admin.get(f"/v1/failed-events/{row['id']}")).json()
    assert orjson.loads(whole["payload"]) == sent


async def until_dead(process: RoleProcess) -> None:
    """Wait for the end of a process that kills itself."""
    await eventually(lambda: process.exit_code() is not None, within=60)


async def test_rows_are_kept_once_when_the_process_is_killed(
    stack: Stack, topics: Topics, database: Database, roles: RoleProcesses
) -> None:
    await roles.start_ready("ingest", "worker", extra=OPEN)
    bad = [Message(topics.channel("web"), b"no json", b"%d" % n) for n in range(40)]
    await publish(stack.kafka, bad)
    for point in ("runtime.before_commit:1", "runtime.after_commit:1"):
        process = roles.start("ingest", "failures", extra={"CONCERT_CRASH": point})
        await until_dead(process)
    roles.start("ingest", "failures")
    engine = create_engine(database.ingest, schema="ingest", application="test")

    async def counted() -> tuple[int, int, int]:
        async with engine.connect() as connection:
            rows = await connection.exec_driver_sql(
                "SELECT count(*), max(attempts), (SELECT sum(applied) FROM lease"
                " WHERE grp LIKE '%failures') FROM failed_event"
            )
            count, attempts, applied = tuple(rows.one())
            return int(count), int(attempts or 0), int(applied or 0)

    found = await eventually(counted, until=lambda seen: seen[0] >= 40 and seen[2] == 40)
    assert found == (40, 1, 40)
    await engine.dispose()


async def test_old_failed_events_are_forgotten_in_batches(database: Database) -> None:
    engine = create_engine(database.ingest, schema="ingest", application="test")
    now = clock.now()
    async with transaction(engine) as tx:
        for offset, days in enumerate((1, 29, 31, 400)):
            letter = DeadLetter(
                topic="channel.web",
                partition=0,
                offset=offset,
                timestamp=0,
                failure=Failure("empty", "the record has no value"),
                stage="handle",
                failed_at=(now - timedelta(days=days)).isoformat(),
                truncated=None,
                original=(),
            )
            event = failed_event(letter, "web", key=None, value=None, timestamp=0)
            assert await failed_events.insert(tx, [event]) == {event.id}
            assert await failed_events.insert(tx, [event]) == set()
    limit = now - timedelta(days=30)
    async with transaction(engine) as tx:
        assert await failed_events.forget(tx, before=limit, limit=1) == 1
    assert await forget_failed_events(engine, timedelta(days=30)) == 1
    assert await forget_failed_events(engine, timedelta(days=30)) == 0
    async with engine.connect() as connection:
        rows = await connection.exec_driver_sql("SELECT position FROM failed_event ORDER BY 1")
        assert [row.position for row in rows] == [0, 1]
    await engine.dispose()


async def test_who_looks_for_a_person_leaves_an_entry(ingest: Ingest) -> None:
    await publish_bad(
        ingest, "sought", "1", identifiers=[{"type": "email", "value": "sought@example.com"}]
    )
    await failed(ingest, "sought", 1)
    person = {"identifiers": [{"type": "email", "value": "sought@example.com"}]}
    found = (await ingest.admin.post("/v1/people:find", json=person)).json()["items"]
    assert len(found) == 1
    log = await ingest.admin.get("/v1/audit", params={"kind": "reveal", "key": found[0]["id"]})
    assert [one["after"]["fields"] for one in log.json()["items"]] == [["received"]]
