"""Rules and contact policies over HTTP: drafted, checked, published, paused, versioned, audited."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.storage import configuration
from shared.access import Role
from shared.postgres import epochs
from shared.postgres.transaction import transaction
from tests.support.api import calling

RULE: dict[str, Any] = {
    "trigger": {"type": "event", "event": "Cart Updated"},
    "actions": [{"type": "message", "channel": "email", "content": {"subject": "Your cart"}}],
}
POLICY: dict[str, Any] = {"caps": [{"scope": {"channel": "email"}, "limit": 2, "window": "P7D"}]}


async def put(client: httpx.AsyncClient, url: str, body: Any, **headers: str) -> httpx.Response:
    return await client.put(
        url, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


async def done(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


async def epoch(engine: AsyncEngine) -> int:
    async with transaction(engine) as tx:
        return await epochs.epoch(tx)


async def in_force(engine: AsyncEngine) -> dict[str, int]:
    """Key and version of every rule in force."""
    async with transaction(engine) as tx:
        return {rule.key: rule.version for rule in (await configuration.load(tx)).rules}


@pytest.mark.parametrize(("kind", "body"), [("rules", RULE), ("contact-policies", POLICY)])
async def test_from_draft_to_archive(
    admin: httpx.AsyncClient, kind: str, body: dict[str, Any]
) -> None:
    url = f"/v1/{kind}/life"
    assert (await admin.get(url)).status_code == 404
    saved = await put(admin, url, body)
    draft = await done(saved)
    assert saved.headers["etag"] == '"1"'
    assert (draft["key"], draft["status"], draft["version"]) == ("life", "draft", None)
    assert {name: draft[name] for name in body} == body

    published = await done(await admin.post(f"{url}:publish"))
    assert (published["status"], published["version"]) == ("live", 1)
    changed = await done(await put(admin, url, body | {"description": "second"}))
    assert (changed["status"], changed["version"], changed["draft_version"]) == ("live", 1, 2)
    assert (await done(await admin.post(f"{url}:publish")))["version"] == 2

    for change, status in [("pause", "paused"), ("resume", "live"), ("archive", "archived")]:
        for _ in range(2):  # doing it again changes nothing
            assert (await done(await admin.post(f"{url}:{change}")))["status"] == status
    refused = await admin.post(f"{url}:resume")
    assert refused.status_code == 409
    assert "archived" in refused.json()["detail"]
    assert (await done(await admin.post(f"{url}:publish")))["version"] == 3

    versions = await done(await admin.get(f"{url}/versions"))
    assert [one["version"] for one in versions["items"]] == [3, 2, 1]
    assert versions["items"][1]["description"] == "second"
    assert "description" not in await done(await admin.get(f"{url}/versions/1"))
    assert (await admin.get(f"{url}/versions/4")).status_code == 404


async def test_every_write_is_audited_with_before_and_after(admin: httpx.AsyncClient) -> None:
    url = "/v1/rules/audited"
    second = RULE | {"priority": 5}
    await done(await put(admin, url, RULE))
    await done(await put(admin, url, second))
    await done(await admin.post(f"{url}:publish"))
    await done(await admin.post(f"{url}:pause"))
    found = await done(await admin.get("/v1/audit", params={"kind": "rule", "key": "audited"}))
    entries = [(one["action"], one["before"], one["after"]) for one in found["items"]]
    assert entries == [
        ("pause", {"status": "live", "version": 1}, {"status": "paused", "version": 1}),
        ("publish", None, {"version": 1, **second}),
        ("save", RULE, second),
        ("save", None, RULE),
    ]
    assert {one["who_name"] for one in found["items"]} == {"admin"}


async def test_a_refused_write_leaves_no_trace(admin: httpx.AsyncClient) -> None:
    answer = await put(admin, "/v1/rules/refused", RULE | {"actoins": []})
    assert answer.status_code == 422
    found = await done(await admin.get("/v1/audit", params={"kind": "rule", "key": "refused"}))
    assert found["items"] == []
    assert (await admin.get("/v1/rules/refused")).status_code == 404


async def test_of_two_edits_of_one_version_the_second_is_refused(admin: httpx.AsyncClient) -> None:
    url = "/v1/rules/raced"
    await done(await put(admin, url, RULE))
    await done(await put(admin, url, RULE | {"priority": 1}, If_Match='"1"'))
    lost = await put(admin, url, RULE | {"priority": 2}, If_Match='"1"')
    assert lost.status_code == 412
    assert (await done(await admin.get(url)))["priority"] == 1
    assert (await admin.post(f"{url}:publish", headers={"If-Match": '"1"'})).status_code == 412
    published = await admin.post(f"{url}:publish", headers={"If-Match": '"2"'})
    assert published.status_code == 200
    fresh = await put(admin, "/v1/rules/raced-new", RULE, If_Match='"1"')
    assert fresh.status_code == 412


async def test_of_many_edits_at_once_exactly_one_wins(admin: httpx.AsyncClient) -> None:
    url = "/v1/rules/crowded"
    await done(await put(admin, url, RULE))
    answers = await asyncio.gather(
        *(put(admin, url, RULE | {"priority": n}, If_Match='"1"') for n in range(8))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7
    firsts = await asyncio.gather(
        *(put(admin, "/v1/rules/first", RULE | {"priority": n}) for n in range(4))
    )
    assert sorted(answer.json()["draft_version"] for answer in firsts) == [1, 2, 3, 4]


async def test_what_is_in_force_and_the_epoch_that_says_so(
    admin: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    url = "/v1/rules/forceful"
    before = await epoch(engine)
    await done(await put(admin, url, RULE))
    assert await epoch(engine) == before
    await done(await admin.post(f"{url}:publish"))
    assert (await epoch(engine), (await in_force(engine))["forceful"]) == (before + 1, 1)
    await done(await put(admin, url, RULE | {"priority": 1}))
    assert (await epoch(engine), (await in_force(engine))["forceful"]) == (before + 1, 1)
    await done(await admin.post(f"{url}:publish"))
    assert (await in_force(engine))["forceful"] == 2
    await done(await admin.post(f"{url}:pause"))
    assert "forceful" not in await in_force(engine)
    await done(await admin.post(f"{url}:resume"))
    assert (await in_force(engine))["forceful"] == 2
    await done(await admin.post(f"{url}:archive"))
    assert "forceful" not in await in_force(engine)
    assert await epoch(engine) == before + 5


async def test_each_mistake_is_named_with_path_rule_and_a_hint(admin: httpx.AsyncClient) -> None:
    body = {
        "triger": {},
        "trigger": {"type": "event", "event": "Cart Updated"},
        "engagement_policy": {"eligibility": {"attr": "profile.age", "op": "gteq", "value": 18}},
        "actions": [{"type": "message", "channel": "email", "content": {"body": "{{ x | nope }}"}}],
    }
    answer = await put(admin, "/v1/rules/wrong", body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    mistakes = {one["path"]: one for one in answer.json()["errors"]}
    assert mistakes["triger"]["rule"] == "unknown_field"
    assert 'Did you mean "trigger"?' in mistakes["triger"]["message"]
    assert mistakes["engagement_policy.eligibility.op"]["rule"] == "unknown_op"
    assert mistakes["actions[0].content.body"]["rule"] == "liquid"


async def test_what_a_rule_names_has_to_be_there_when_it_is_published(
    admin: httpx.AsyncClient,
) -> None:
    action = {"type": "message", "channel": "emial", "template": "hello"}
    body = RULE | {"actions": [action]}
    await done(await put(admin, "/v1/rules/naming", body))
    for call in ("validate", "publish"):
        answer = await admin.post(f"/v1/rules/naming:{call}")
        assert answer.status_code == 422
        assert [(e["path"], e["rule"]) for e in answer.json()["errors"]] == [
            ("actions[0].channel", "unknown_channel"),
            ("actions[0].template", "unknown_template"),
        ]
        assert 'Did you mean "email"?' in answer.json()["errors"][0]["message"]
    await done(
        await admin.put(
            "/v1/templates/hello", json={"channel": "sms", "content": {"en": {"body": "Hi"}}}
        )
    )
    fixed = RULE | {"actions": [action | {"channel": "email"}]}
    answer = await admin.post("/v1/rules/naming:validate", json=fixed)
    assert [e["rule"] for e in answer.json()["errors"]] == ["template_channel"]
    right = RULE | {"actions": [action | {"channel": "sms"}]}
    assert await done(await admin.post("/v1/rules/naming:validate", json=right)) == {"valid": True}
    assert (await admin.get("/v1/rules/naming")).json()["actions"] == [action]


async def test_a_policy_for_a_channel_that_is_not_there(admin: httpx.AsyncClient) -> None:
    cap = {"scope": {"channel": "telex"}, "limit": 1, "window": "P1D"}
    await done(await put(admin, "/v1/contact-policies/default", {"caps": [cap]}))
    answer = await admin.post("/v1/contact-policies/default:publish")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == "caps[0].scope.channel"


async def test_what_was_read_can_be_sent_back(admin: httpx.AsyncClient) -> None:
    url = "/v1/rules/mirror"
    await done(await put(admin, url, RULE | {"key": "mirror", "version": 7, "status": "active"}))
    await done(await admin.post(f"{url}:publish"))
    first = await done(await admin.get(url))
    again = await done(await put(admin, url, first))
    changing = ("draft_version", "updated_at", "warming")
    assert {k: v for k, v in again.items() if k not in changing} == {
        k: v for k, v in first.items() if k not in changing
    }
    other = await put(admin, url, RULE | {"key": "another"})
    assert other.json()["errors"][0]["rule"] == "same_key"


@pytest.mark.parametrize("key", ["UPPER", "sp%20ace", "a:publish", "x" * 101, "%C3%A9"])
async def test_keys_have_one_form(admin: httpx.AsyncClient, key: str) -> None:
    assert (await put(admin, f"/v1/rules/{key}", RULE)).status_code == 422


@pytest.mark.parametrize(
    "body", [b"[]", b'"x"', b"1", b"null", b"{", b'{"a":NaN}', b'{"a":"\\u0000"}']
)
async def test_bodies_that_are_no_document(admin: httpx.AsyncClient, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await admin.put("/v1/rules/nodoc", content=body, headers=headers)
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_lists_come_in_pages(admin: httpx.AsyncClient) -> None:
    for name in ("page-a", "page-b", "page-c"):
        await done(await put(admin, f"/v1/contact-policies/{name}", POLICY))
    seen: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": "2"} | ({} if cursor is None else {"cursor": cursor})
        page = await done(await admin.get("/v1/contact-policies", params=params))
        assert len(page["items"]) <= 2
        seen += [one["key"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == sorted(set(seen))
    assert {"page-a", "page-b", "page-c"} <= set(seen)
    bad = await admin.get("/v1/contact-policies", params={"cursor": "nonsense"})
    assert bad.status_code == 400


async def test_an_editor_drafts_and_a_publisher_publishes(
    app: FastAPI, tokens: dict[Role, str]
) -> None:
    url = "/v1/rules/shared-work"
    async with calling(app, tokens[Role.EDITOR]) as editor:
        await done(await put(editor, url, RULE))
        assert (await editor.post(f"{url}:publish")).status_code == 403
    async with calling(app, tokens[Role.PUBLISHER]) as publisher:
        await done(await publisher.post(f"{url}:publish"))
        [version] = (await done(await publisher.get(f"{url}/versions")))["items"]
    assert version["published_by"] == "publisher"


async def test_what_is_live_already_makes_no_new_version(
    admin: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    url = "/v1/rules/same"
    await put(admin, url, RULE)
    answers = await asyncio.gather(*(admin.post(f"{url}:publish") for _ in range(6)))
    shown = [await done(answer) for answer in answers]
    assert [one["version"] for one in shown] == [1] * 6
    assert sum(1 for one in shown if one.get("unchanged")) == 5
    before = await epoch(engine)
    again = await done(await admin.post(f"{url}:publish"))
    assert (again["version"], again["unchanged"]) == (1, True)
    assert await epoch(engine) == before
    await put(admin, url, again | {"priority": 7})
    changed = await done(await admin.post(f"{url}:publish"))
    assert (changed["version"], changed.get("unchanged")) == (2, None)
    await done(await admin.post(f"{url}:pause"))
    live = await done(await admin.post(f"{url}:publish"))
    assert (live["status"], live["version"]) == ("live", 3)


@pytest.mark.parametrize(
    "url", ["/v1/rules/only-new", "/v1/templates/only-new", "/v1/channels/only_new"]
)
async def test_a_write_may_only_make_what_is_not_there(admin: httpx.AsyncClient, url: str) -> None:
    body: dict[str, Any] = {
        "rules": RULE, "templates": {"content": {"en": {"body": "x"}}}, "channels": {},
    }[url.split("/")[2]]  # fmt: skip
    only = {"If-None-Match": "*"}
    answers = await asyncio.gather(*(admin.put(url, json=body, headers=only) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412]
    same = await admin.put(url, json=body, headers={"If-None-Match": '"1"'})
    assert same.status_code == 412
    other = await admin.put(url, json=body, headers={"If-None-Match": '"7"'})
    assert other.status_code == 200
    assert (await admin.put(url, json=body, headers={"If-None-Match": "7"})).status_code == 400
