"""Journeys over HTTP: drafted, checked, published as versions, paused, archived, entered."""

from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.connectors.profile_definitions import ProfileDefinitions
from services.orchestrator.storage import configuration
from services.orchestrator.storage.journey_versions import StoredJourney
from services.orchestrator.use_cases.warm_rules import warm_rules
from shared.conditions.leaves import leaf_hash
from shared.conditions.tree import EventCount
from shared.contracts.topics import OWN_SOURCE
from shared.ids import touchpoint_id
from shared.postgres.transaction import transaction
from tests.integration.orchestrator_api.acting import published, run
from tests.integration.orchestrator_api.conftest import PROFILES, AnswersOfProfileService
from tests.integration.orchestrator_api.test_drafts import RULE, done, epoch, put
from tests.unit.orchestrator.journeys.build import document, end, mail, wait

JOURNEY = document(mail("hi", "rest"), wait("rest", duration="P1D"), end())
BY_ASKING = JOURNEY | {"entry": {"type": "api"}}
COUNTING = JOURNEY | {
    "nodes": [
        {"id": "been", "type": "branch", "else": "end",
         "cases": [{"when": {"event": "Bought"}, "next": "hi"}]},
        *JOURNEY["nodes"],
    ]
}  # fmt: skip
BOUGHT = leaf_hash(EventCount("Bought"))
ADA = next(iter(PROFILES))
URL = "/v1/journeys"


async def publish(
    client: httpx.AsyncClient, key: str, body: dict[str, Any], **asked: Any
) -> dict[str, Any]:
    """The journey as it is after it was saved and published."""
    present = await client.get(f"{URL}/{key}")
    tag = {} if present.status_code == 404 else {"If_Match": present.headers["etag"]}
    await done(await put(client, f"{URL}/{key}", body, **tag))
    found: dict[str, Any] = await done(await client.post(f"{URL}/{key}:publish", json=asked))
    return found


async def in_force(engine: AsyncEngine, key: str) -> StoredJourney | None:
    async with transaction(engine) as tx:
        stored = {one.key: one for one in (await configuration.load(tx)).journeys}
    return stored.get(key)


async def loaded(engine: AsyncEngine, key: str) -> tuple[int | None, bool, list[int]]:
    """Which version people enter, whether there is a pause, and which versions are kept."""
    found = await in_force(engine, key)
    assert found is not None
    return found.entering, found.paused, [one.version for one in found.versions]


async def test_from_draft_to_archive(admin: httpx.AsyncClient, engine: AsyncEngine) -> None:
    url = f"{URL}/life"
    draft = await done(await put(admin, url, JOURNEY))
    assert (draft["status"], draft["version"]) == ("draft", None)
    assert await in_force(engine, "life") is None
    before = await epoch(engine)
    first = await done(await admin.post(f"{url}:publish"))
    assert (first["status"], first["version"], first["affected"]) == ("live", 1, [])
    assert await loaded(engine, "life") == (1, False, [1])
    assert await epoch(engine) == before + 1
    again = await done(await admin.post(f"{url}:publish"))
    assert (again["version"], again["unchanged"]) == (1, True)
    assert (await publish(admin, "life", JOURNEY | {"priority": 7}))["version"] == 2
    assert await loaded(engine, "life") == (2, False, [1, 2])

    await done(await admin.post(f"{url}:pause"))
    assert await loaded(engine, "life") == (2, True, [1, 2])
    mended = await publish(admin, "life", JOURNEY | {"priority": 8})
    assert (mended["status"], mended["version"]) == ("paused", 3)
    assert await loaded(engine, "life") == (3, True, [1, 2, 3])
    rate = {"limit": 30, "per": "PT1M"}
    await done(await admin.post(f"{url}:resume", json={"rate": rate}))
    assert await loaded(engine, "life") == (3, False, [1, 2, 3])
    shown = await done(await admin.get(url))
    assert shown["telling"] == [{"what": "resumed", "runs": 0}]
    await done(await admin.post(f"{url}:archive"))
    entering, _, _ = await loaded(engine, "life")
    assert entering is None
    await done(await admin.post(f"{url}:archive", json={"runs": "stop"}))
    kinds = [one["what"] for one in (await done(await admin.get(url)))["telling"]]
    assert kinds == ["resumed", "stopped"]
    found = await done(await admin.get("/v1/audit", params={"kind": "journey", "key": "life"}))
    said = [(one["action"], one["after"]) for one in found["items"][:3]]
    archived = {"status": "archived", "version": 3}
    assert said == [
        ("archive", archived | {"runs": "stop"}),
        ("archive", archived),
        ("resume", {"status": "live", "version": 3, "rate": rate}),
    ]
    assert (await admin.post(f"{url}:resume")).status_code == 409
    versions = await done(await admin.get(f"{url}/versions"))
    assert [one["version"] for one in versions["items"]] == [3, 2, 1]


@pytest.mark.parametrize(
    ("body", "path", "rule"),
    [
        ({"nodes": [mail("a", template="nothing", content=None), end()]}, "nodes[0].template",
         "unknown_template"),
        ({"nodes": [mail("a", channel="fax"), end()]}, "nodes[0].channel", "unknown_channel"),
        ({"score": {"costs": {"minutes": 2}}}, "score.costs.minutes", "unknown_resource"),
        ({"nodes": [{"id": "a", "type": "enter_journey", "journey": "nowhere", "next": "end"},
                    end()]}, "nodes[0].journey", "unknown_journey"),
    ],
)  # fmt: skip
async def test_what_is_named_has_to_be_there(
    admin: httpx.AsyncClient, body: dict[str, Any], path: str, rule: str
) -> None:
    wrong = JOURNEY | body
    for node in wrong["nodes"]:
        if node.get("content", "") is None:
            del node["content"]
    await done(await put(admin, f"{URL}/wrong-{rule}", wrong))
    refused = await admin.post(f"{URL}/wrong-{rule}:publish")
    assert refused.status_code == 422
    assert [(one["path"], one["rule"]) for one in refused.json()["errors"]] == [(path, rule)]
    checked = await admin.post(f"{URL}/wrong-{rule}:validate", json=wrong)
    assert checked.status_code == 422


async def test_two_that_lead_to_each_other_are_published_one_after_the_other(
    admin: httpx.AsyncClient,
) -> None:
    def leads_to(key: str) -> dict[str, Any]:
        jump = {"id": "on", "type": "enter_journey", "journey": key, "next": "end"}
        return document(jump, end(), entry={"type": "api"})

    await done(await put(admin, f"{URL}/ping", leads_to("pong")))
    await done(await put(admin, f"{URL}/pong", leads_to("ping")))
    checked = await done(await admin.post(f"{URL}/ping:validate"))
    assert [one["rule"] for one in checked["warnings"]] == ["not_live"]
    await done(await admin.post(f"{URL}/ping:publish"))
    await done(await admin.post(f"{URL}/pong:publish"))
    assert "warnings" not in await done(await admin.post(f"{URL}/ping:validate"))


async def test_warnings(admin: httpx.AsyncClient, profile_service: AnswersOfProfileService) -> None:
    probable = JOURNEY | {
        "valid": {"to": "2020-01-01T00:00:00Z"},
        "exit_criteria": [
            {"event": "Cart Updated"},
            {"segment": "gone"},
            {"attr": "profile.computed.nothing", "op": "exists"},
        ],
        "goal": {
            "event": "Bought",
            "where": {
                "all": [
                    {"attr": "event.total", "op": "gt", "value": 5},
                    {"attr": "event.total", "op": "lt", "value": 3},
                ]
            },
        },
    }
    checked = await done(await admin.post(f"{URL}/probable:validate", json=probable))
    assert {one["path"]: one["rule"] for one in checked["warnings"]} == {
        "valid.to": "over",
        "exit_criteria[0]": "own_trigger",
        "exit_criteria[1]": "unknown_segment",
        "exit_criteria[2]": "unknown_trait",
        "goal.where": "never_holds",
    }


async def test_an_earlier_version_is_published_once_more(
    admin: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await publish(admin, "back", JOURNEY)
    await publish(admin, "back", JOURNEY | {"priority": 2})
    draft = await done(await put(admin, f"{URL}/back", JOURNEY | {"priority": 3}))
    asked = {"version": 1, "version_policy": "follow_live"}
    back = await done(await admin.post(f"{URL}/back:publish", json=asked))
    assert (back["version"], back["priority"]) == (3, 3)
    assert back["draft_version"] == draft["draft_version"]
    third = await done(await admin.get(f"{URL}/back/versions/3"))
    assert "priority" not in third
    assert third["version_policy"] == "follow_live"
    same = await done(await admin.post(f"{URL}/back:publish", json=asked))
    assert same["unchanged"] is True
    lost = await admin.post(f"{URL}/back:publish", json={"version": 9})
    assert lost.status_code == 404
    shown = await done(await admin.get(f"{URL}/back"))
    assert shown["telling"] == [{"what": "edited", "runs": 0}]


async def test_what_it_counts_has_to_be_counted_first(
    admin: httpx.AsyncClient,
    engine: AsyncEngine,
    profile_service: AnswersOfProfileService,
    definitions: ProfileDefinitions,
) -> None:
    assert (await publish(admin, "cold", COUNTING))["version"] == 1
    assert (await done(await admin.get(f"{URL}/cold")))["warming"] is True
    assert await in_force(engine, "cold") is None
    await publish(admin, "warm", JOURNEY)
    await publish(admin, "warm", COUNTING, version_policy="follow_live")
    assert await loaded(engine, "warm") == (1, False, [1])
    assert (await done(await admin.get(f"{URL}/warm")))["telling"] == []
    assert await warm_rules(engine, definitions.register_leaves) == []
    profile_service.leaves = {BOUGHT: True}
    assert await warm_rules(engine, definitions.register_leaves) == ["cold", "warm"]
    assert await loaded(engine, "warm") == (2, False, [1, 2])
    shown = await done(await admin.get(f"{URL}/warm"))
    assert (shown["warming"], shown["telling"]) == (False, [{"what": "edited", "runs": 0}])
    assert (await loaded(engine, "cold"))[0] == 1


async def test_what_was_archived_lets_nobody_in_while_its_next_version_warms(
    admin: httpx.AsyncClient, engine: AsyncEngine, profile_service: AnswersOfProfileService
) -> None:
    await publish(admin, "again", JOURNEY)
    await done(await admin.post(f"{URL}/again:archive"))
    await publish(admin, "again", COUNTING)
    assert (await loaded(engine, "again"))[0] is None


async def test_old_versions_without_runs_are_not_loaded(
    admin: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    for priority in range(5):
        await publish(admin, "old", JOURNEY | {"priority": priority})
    await run(engine, "UPDATE journey_version SET published_at = now() - interval '2 hours'"
                      " WHERE key = 'old'")  # fmt: skip
    assert await loaded(engine, "old") == (5, False, [4, 5])
    await done(await admin.post(f"{URL}/old:archive"))
    await run(engine, "UPDATE journey SET updated_at = now() - interval '2 hours'"
                      " WHERE key = 'old'")  # fmt: skip
    assert await in_force(engine, "old") is None


async def test_one_person_is_let_in(admin: httpx.AsyncClient, engine: AsyncEngine) -> None:
    await publish(admin, "ask", BY_ASKING)
    body = {"profile_id": ADA, "event": {"order_id": "o-1"}}
    key = {"Idempotency-Key": "one"}
    answers = [await admin.post(f"{URL}/ask:enter", json=body, headers=key) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    first, second = (answer.json() for answer in answers)
    assert first == second
    assert first["touchpoint_id"] == str(touchpoint_id(OWN_SOURCE, first["id"]))
    event = (await published(engine, "concert"))[-1]
    assert event["type"] == "concert.journey"
    assert event["properties"] == {"order_id": "o-1", "journey": "ask"}
    assert event["identifiers"] == [{"type": "profile_id", "value": ADA}]
    nobody = {"profile_id": "01930000-0000-7000-8000-00000000000f"}
    assert (await admin.post(f"{URL}/ask:enter", json=nobody)).status_code == 404
    await publish(admin, "by-event", JOURNEY)
    refused = await admin.post(f"{URL}/by-event:enter", json={"profile_id": ADA})
    assert refused.status_code == 409
    assert "entered by event" in refused.json()["detail"]
    await done(await admin.post(f"{URL}/ask:archive"))
    assert (await admin.post(f"{URL}/ask:enter", json=body)).status_code == 409


async def test_what_the_collector_would_refuse_is_refused_at_once(
    admin: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await publish(admin, "ask", BY_ASKING)
    before = await published(engine, "concert")
    large = {"note": "x" * 255_000}
    lyon = {"attr": "profile.city", "op": "eq", "value": "Lyon"}
    for action, body in (("enter", {"profile_id": ADA}), ("enter-audience", {"audience": lyon})):
        refused = await admin.post(f"{URL}/ask:{action}", json={**body, "event": large})
        assert refused.status_code == 422
        [problem] = refused.json()["errors"]
        assert (problem["path"], problem["rule"]) == ("event", "max_bytes")
    assert await published(engine, "concert") == before


async def test_an_audience_is_let_in_and_followed(
    admin: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await publish(admin, "many", BY_ASKING)
    lyon = {"attr": "profile.city", "op": "eq", "value": "Lyon"}
    wrong = await admin.post(
        f"{URL}/many:enter-audience", json={"audience": {"attr": "event.x", "op": "exists"}}
    )
    assert wrong.status_code == 422
    answer = await admin.post(f"{URL}/many:enter-audience", json={"audience": lyon})
    assert answer.status_code == 202
    event = (await published(engine, "concert"))[-1]
    assert (event["audience"], event["properties"]) == (lyon, {"journey": "many"})
    found = await done(await admin.get(f"{URL}/many/audiences"))
    assert found["next_at"] is None
    [one] = found["items"]
    for _ in range(2):  # the same call is the same entrance
        once = {"Idempotency-Key": "again"}
        await admin.post(f"{URL}/many:enter-audience", json={"audience": lyon}, headers=once)
    found = await done(await admin.get(f"{URL}/many/audiences"))
    assert len(found["items"]) == 2
    assert one["touchpoint_id"] == answer.json()["touchpoint_id"]
    assert one["progress"] is None


async def test_a_schedule_says_when_it_is_next(admin: httpx.AsyncClient) -> None:
    entry = {
        "type": "schedule", "rrule": "FREQ=DAILY;BYHOUR=9;BYMINUTE=0;BYSECOND=0",
        "audience": {"attr": "profile.city", "op": "eq", "value": "Lyon"},
        "rate": {"limit": 100, "per": "PT1M"},
    }  # fmt: skip
    await publish(admin, "daily", JOURNEY | {"entry": entry})
    url = f"{URL}/daily/audiences"
    assert (await done(await admin.get(url)))["next_at"].endswith("09:00:00Z")
    await done(await admin.post(f"{URL}/daily:pause"))
    assert (await done(await admin.get(url)))["next_at"] is None
    await done(await admin.post(f"{URL}/daily:resume"))
    assert (await done(await admin.get(url)))["next_at"] is not None
    assert (await admin.get(f"{URL}/nothing/audiences")).status_code == 404


async def test_of_a_rule_no_version_is_published_again(admin: httpx.AsyncClient) -> None:
    """Rules have no runs: what is asked of journeys is no field there."""
    await done(await put(admin, "/v1/rules/plain", RULE))
    refused = await admin.post("/v1/rules/plain:publish", json={"version": 1})
    assert refused.status_code == 422
