"""Templates and channels over HTTP: live on saving, each save a version, and the preview."""

from datetime import datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.domain.channel import parse_channel
from services.orchestrator.storage import configuration
from shared.access import Role
from shared.contracts.topics import DEFAULT_CHANNELS
from shared.postgres import epochs
from shared.postgres.transaction import transaction
from tests.integration.orchestrator.stage import ASKED_FOR
from tests.support.api import calling

ADA = "01930000-0000-7000-8000-000000000001"
NOBODY = "01930000-0000-7000-8000-000000000002"
SLOW = "01930000-0000-7000-8000-000000000003"
UNKNOWN = "01930000-0000-7000-8000-000000000004"
TEMPLATE: dict[str, Any] = {
    "channel": "email",
    "content": {
        "en": {"subject": "Hello {{ profile.first_name }}", "body": "{{ event.total }}"},
        "fr": {"subject": "Bonjour {{ profile.first_name }}", "body": "{{ event.total }}"},
    },
    "default_locale": "en",
    "fallbacks": {"first_name": "there"},
}


async def done(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_each_save_is_a_version_in_force(
    admin: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    url = "/v1/templates/greeting"
    async with transaction(engine) as tx:
        before = await epochs.epoch(tx)
    assert (await admin.get(url)).status_code == 404
    first = await admin.put(url, json=TEMPLATE)
    assert (await done(first))["version"] == 1
    assert first.headers["etag"] == '"1"'
    second = await admin.put(url, json=TEMPLATE | {"name": "x"}, headers={"If-Match": '"1"'})
    assert (await done(second))["version"] == 2
    lost = await admin.put(url, json=TEMPLATE, headers={"If-Match": '"1"'})
    assert lost.status_code == 412
    async with transaction(engine) as tx:
        stored = await configuration.load(tx)
    assert stored.epoch == before + 2
    assert [(t.version, t.body) for t in stored.templates if t.key == "greeting"] == [
        (2, TEMPLATE | {"name": "x"})
    ]
    versions = (await done(await admin.get(f"{url}/versions")))["items"]
    assert [(one["version"], one.get("name")) for one in versions] == [(2, "x"), (1, None)]
    audit = await done(await admin.get("/v1/audit", params={"kind": "template", "key": "greeting"}))
    assert [(one["action"], one["before"]) for one in audit["items"]] == [
        ("save", TEMPLATE),
        ("save", None),
    ]


async def test_mistakes_in_a_template_are_named(admin: httpx.AsyncClient) -> None:
    body = {"channel": "email", "contnet": {}, "content": {"en": {"body": "{% if %}"}}}
    answer = await admin.put("/v1/templates/broken", json=body)
    assert answer.status_code == 422
    rules = {one["path"]: one["rule"] for one in answer.json()["errors"]}
    assert rules == {"contnet": "unknown_field", "content.en.body": "liquid"}


async def test_the_default_channels_are_there_and_can_be_changed(
    admin: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    listed = await done(await admin.get("/v1/channels", params={"limit": 200}))
    kinds = {one["key"]: one["kind"] for one in listed["items"] if one["version"] == 0}
    assert kinds == DEFAULT_CHANNELS
    pos = await admin.get("/v1/channels/pos")
    assert pos.headers["etag"] == '"0"'
    shown = await done(pos)
    document = {k: v for k, v in shown.items() if k not in ("version", "saved_at", "saved_by")}
    default = parse_channel({}, key="pos", version=0)
    assert parse_channel(document, key="pos", version=0) == default

    changed = await admin.put(
        "/v1/channels/pos", json=shown | {"enabled": False}, headers={"If-Match": '"0"'}
    )
    assert (await done(changed))["version"] == 1
    again = await admin.put("/v1/channels/pos", json=shown, headers={"If-Match": '"0"'})
    assert again.status_code == 412
    assert (await done(await admin.get("/v1/channels/pos")))["enabled"] is False
    after = await done(await admin.get("/v1/channels", params={"limit": 200}))
    assert [one["key"] for one in after["items"]] == sorted(DEFAULT_CHANNELS)
    pages = await done(await admin.get("/v1/channels", params={"limit": 3}))
    rest = await done(
        await admin.get("/v1/channels", params={"limit": 200, "cursor": pages["next_cursor"]})
    )
    assert [one["key"] for one in pages["items"] + rest["items"]] == sorted(DEFAULT_CHANNELS)
    async with transaction(engine) as tx:
        stored = await configuration.load(tx)
    assert [(one.key, one.version) for one in stored.channels] == [("pos", 1)]
    assert (await admin.get("/v1/channels/telex")).status_code == 404
    assert (await done(await admin.get("/v1/channels/web/versions")))["items"] == []


async def test_a_channel_has_its_topics_before_it_is_saved(admin: httpx.AsyncClient) -> None:
    ASKED_FOR.clear()
    await done(await admin.put("/v1/channels/telex", json={}))
    assert ASKED_FOR == ["telex"]
    refused = await admin.put("/v1/channels/pager", json={"connector": "pigeon"})
    assert refused.status_code == 422
    assert ASKED_FOR == ["telex"]


async def test_a_channel_warns_of_what_is_not_there_yet(admin: httpx.AsyncClient) -> None:
    hook = {"url": "https://hooks.example.com/x", "secret_ref": "hooks"}
    body = {"connector": "webhook", "webhook": hook, "fallback": "later"}
    made = await done(await admin.put("/v1/channels/early", json=body))
    assert {one["path"]: one["rule"] for one in made["warnings"]} == {
        "webhook.secret_ref": "secret_missing",
        "fallback": "unknown_channel",
    }
    assert "warnings" not in await done(await admin.get("/v1/channels/early"))
    await done(await admin.put("/v1/channels/later", json={"fallback": "early"}))
    again = await done(await admin.put("/v1/channels/early", json=body | made))
    assert [one["path"] for one in again["warnings"]] == ["webhook.secret_ref"]
    away = {**body, "webhook": hook | {"url": "https://not-yet.example.com/x"}}
    made = await done(await admin.put("/v1/channels/early", json=away))
    assert {one["rule"] for one in made["warnings"]} == {"secret_missing", "unresolved"}


@pytest.mark.parametrize(
    ("webhook", "rule", "says"),
    [
        ({"url": "https://example.com:22/x"}, "port", "port 22"),
        ({"timeout": "PT61S"}, "duration", "at most 1 minute"),
    ],
)
async def test_a_channel_that_could_never_deliver_is_refused(
    admin: httpx.AsyncClient, webhook: dict[str, str], rule: str, says: str
) -> None:
    hook = {"url": "https://hooks.example.com/x", "secret_ref": "hooks", **webhook}
    answer = await admin.put("/v1/channels/bad", json={"connector": "webhook", "webhook": hook})
    assert answer.status_code == 422
    (problem,) = answer.json()["errors"]
    assert problem["rule"] == rule
    assert says in problem["message"]


async def test_a_preview_is_what_the_customer_would_read(admin: httpx.AsyncClient) -> None:
    url = "/v1/templates/shown"
    await done(await admin.put(url, json=TEMPLATE))
    event = {"properties": {"total": 59.9}}
    body = {"profile_id": ADA, "event": event}
    preview = await done(await admin.post(f"{url}:preview", json=body))
    assert preview["locale"] == "fr"
    assert preview["content"] == {"subject": "Bonjour Ada", "body": "59.9"}
    english = await done(await admin.post(f"{url}:preview", json=body | {"locale": "en-GB"}))
    assert english["content"]["subject"] == "Hello Ada"
    without = await done(await admin.post(f"{url}:preview", json={"profile_id": NOBODY}))
    assert without["content"] == {"subject": "Hello there", "body": ""}


async def test_a_preview_hides_who_it_is_from_an_editor(
    app: FastAPI, tokens: dict[Role, str], admin: httpx.AsyncClient
) -> None:
    await done(await admin.put("/v1/templates/hidden", json=TEMPLATE))
    async with calling(app, tokens[Role.EDITOR]) as editor:
        answer = await editor.post("/v1/templates/hidden:preview", json={"profile_id": ADA})
    assert (await done(answer))["content"]["subject"] == "Bonjour A***"


@pytest.mark.parametrize(("profile", "status"), [(UNKNOWN, 404), (SLOW, 503), ("x", 422)])
async def test_a_preview_of_nobody(admin: httpx.AsyncClient, profile: str, status: int) -> None:
    await done(await admin.put("/v1/templates/lonely", json=TEMPLATE))
    answer = await admin.post("/v1/templates/lonely:preview", json={"profile_id": profile})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_resource_is_live_on_saving_and_shows_what_is_left(
    admin: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    url = "/v1/resources/calls"
    body = {"limit": 300, "per": "P1D", "zone": "Europe/Paris", "unit": "call minute"}
    first = await admin.put(url, json=body)
    assert (await done(first))["version"] == 1
    shown = await done(await admin.get(url))
    assert {name: shown[name] for name in ("limit", "used", "left", "price")} == {
        "limit": 300, "used": 0.0, "left": 300.0, "price": 0.0,
    }  # fmt: skip
    assert shown["window"]["from"] < shown["window"]["to"]
    async with transaction(engine) as tx:
        start = datetime.fromisoformat(shown["window"]["from"])
        await tx.execute(
            text("INSERT INTO resource_window VALUES ('calls', :start, 12.5)"), {"start": start}
        )
    shown = await done(await admin.get(url))
    assert (shown["used"], shown["left"]) == (12.5, 287.5)
    second = await admin.put(url, json=body | {"limit": 10}, headers={"If-Match": '"1"'})
    assert (await done(second))["version"] == 2
    wrong = await admin.put(url, json=body | {"per": "PT7H"})
    assert (wrong.status_code, wrong.json()["errors"][0]["path"]) == (422, "per")
    audit = await done(await admin.get("/v1/audit", params={"kind": "resource", "key": "calls"}))
    assert len(audit["items"]) == 2
