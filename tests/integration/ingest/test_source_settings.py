"""What people say about a source: taken, shown, changed and recorded."""

from typing import Any

import pytest

from tests.integration.ingest.conftest import Ingest, native
from tests.support.eventually import eventually
from tests.support.kafka import Message, publish

FULL: dict[str, Any] = {
    "id": "full",
    "name": "Shop app",
    "channel": "app",
    "offline": False,
    "dialect": "segment",
    "default_region": "FR",
    "subject_as": "user_id",
    "trust": 70,
    "timezone": "Europe/Paris",
    "device": True,
    "max_age": "P30DT12H",
    "tracking": "warn",
    "events_per_second": 500,
    "pii": {"traits.email": "email", "context.ip": "ip"},
}


async def test_every_setting_is_kept_and_can_be_changed(ingest: Ingest) -> None:
    made = await ingest.admin.post("/v1/sources", json=FULL)
    assert made.status_code == 201, made.text
    assert made.headers["ETag"] == '"1"'
    assert FULL.items() <= made.json().items()

    change = {**FULL, "name": "App", "timezone": "Asia/Tokyo", "device": False, "max_age": None}
    saved = await ingest.admin.put("/v1/sources/full", json=change, headers={"If-Match": '"1"'})
    assert (saved.status_code, saved.headers["ETag"]) == (200, '"2"')
    shown = await ingest.admin.get("/v1/sources/full")
    assert shown.headers["ETag"] == '"2"'
    assert change.items() <= shown.json().items()

    late = await ingest.admin.put("/v1/sources/full", json=FULL, headers={"If-Match": '"1"'})
    assert late.status_code == 412
    log = await ingest.admin.get("/v1/audit", params={"kind": "source", "key": "full"})
    entry = log.json()["items"][0]
    assert entry["action"] == "save"
    assert (entry["before"]["timezone"], entry["after"]["timezone"]) == (
        "Europe/Paris",
        "Asia/Tokyo",
    )
    assert (entry["before"]["version"], entry["after"]["version"]) == (1, 2)


async def test_what_stays_for_good(ingest: Ingest) -> None:
    fixed = {"id": "fixed", "name": "Fixed", "channel": "web"}
    assert (await ingest.admin.post("/v1/sources", json=fixed)).status_code == 201
    for change, path, why in (
        ({"id": "other"}, "id", "part of the id of every event"),
        ({"channel": "app"}, "channel", "lie on that channel's topic"),
    ):
        answer = await ingest.admin.put("/v1/sources/fixed", json={**fixed, **change})
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert (error["path"], error["rule"]) == (path, "immutable")
        assert why in error["message"]
    unknown = await ingest.admin.put("/v1/sources/nobody", json={**fixed, "id": "nobody"})
    assert unknown.status_code == 404
    assert (await ingest.admin.get("/v1/sources/fixed")).json()["version"] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"timezone": "Paris"},
        {"timezone": "../etc/passwd"},
        {"timezone": "Europe"},
        {"timezone": "localtime"},
        {"device": "maybe"},
        {"max_age": "30 days"},
        {"max_age": "PT0S"},
        {"max_age": "P1Y"},
        {"tracking": "loud"},
        {"events_per_second": 0},
        {"events_per_second": 1_000_001},
        {"pii": {"email": "email"}},
        {"pii": {"traits.": "email"}},
        {"pii": {"traits.email": "E-mail"}},
        {"pii": {f"traits.t{n}": "name" for n in range(101)}},
    ],
)
async def test_what_a_setting_cannot_be(ingest: Ingest, change: dict[str, Any]) -> None:
    answer = await ingest.admin.post("/v1/sources", json={**FULL, "id": "never", **change})
    assert answer.status_code == 422
    (error, *_) = answer.json()["errors"]
    assert error["path"].startswith(next(iter(change)))


async def test_the_worker_follows_a_change_within_seconds(ingest: Ingest) -> None:
    """A naive time, first read in one zone, later in another."""
    zoned = {"id": "zoned", "name": "Zoned", "channel": "kiosk", "timezone": "Asia/Tokyo"}
    assert (await ingest.admin.post("/v1/sources", json=zoned)).status_code == 201
    await eventually(lambda: read_in(ingest, "09:00"), until=lambda at: at == "T00:00", within=30)
    changed = {**zoned, "timezone": "Europe/Paris"}
    assert (await ingest.admin.put("/v1/sources/zoned", json=changed)).status_code == 200
    await eventually(lambda: read_in(ingest, "09:00"), until=lambda at: at == "T08:00", within=30)


async def read_in(ingest: Ingest, time: str) -> str:
    """Publish a local winter's time as a new event; what became of it, as `THH:MM`."""
    number = next(ingest.numbers)
    person = f"zoned-{number}"
    value = native("zoned", person, occurred_at=f"2026-01-15T{time}:00")
    await publish(ingest.stack.kafka, [Message(ingest.topics.channel("kiosk"), value, b"k")])
    found = await ingest.touchpoint("zoned", person)
    return found.occurred_at[10:16]
