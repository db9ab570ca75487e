"""Rules that count past touchpoints: registered on publishing, in force once they are counted."""

from typing import Any

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.connectors.profile_definitions import ProfileDefinitions
from services.orchestrator.use_cases.warm_rules import warm_rules
from shared.conditions.leaves import leaf_hash
from shared.conditions.tree import EventCount
from tests.integration.orchestrator_api.conftest import AnswersOfProfileService
from tests.integration.orchestrator_api.test_drafts import RULE, done, in_force, put

COUNTING = {**RULE, "engagement_policy": {"applicability": {"not": {"event": "Bought"}}}}
BOUGHT, SEEN = leaf_hash(EventCount("Bought")), leaf_hash(EventCount("Seen"))
BOTH = {
    **RULE,
    "engagement_policy": {"applicability": {"all": [{"event": "Bought"}, {"event": "Seen"}]}},
}


async def publish(client: httpx.AsyncClient, key: str, body: dict[str, Any]) -> Any:
    await done(await put_any(client, key, body))
    return await client.post(f"/v1/rules/{key}:publish")


async def put_any(client: httpx.AsyncClient, key: str, body: dict[str, Any]) -> httpx.Response:
    present = await client.get(f"/v1/rules/{key}")
    tag = {} if present.status_code == 404 else {"if_match": present.headers["etag"]}
    return await put(client, f"/v1/rules/{key}", body, **tag)


async def warming(client: httpx.AsyncClient, key: str) -> bool:
    found: bool = (await done(await client.get(f"/v1/rules/{key}")))["warming"]
    return found


async def test_a_rule_warms_until_everything_is_counted(
    admin: httpx.AsyncClient,
    engine: AsyncEngine,
    profile_service: AnswersOfProfileService,
    definitions: ProfileDefinitions,
) -> None:
    profile_service.leaves = {BOUGHT: True}
    published = await done(await publish(admin, "both", BOTH))
    assert (published["status"], published["version"]) == ("live", 1)
    assert await warming(admin, "both")
    assert "both" not in await in_force(engine)
    assert await warm_rules(engine, definitions.register_leaves) == []
    profile_service.leaves[SEEN] = True
    assert await warm_rules(engine, definitions.register_leaves) == ["both"]
    assert not await warming(admin, "both")
    assert (await in_force(engine))["both"] == 1


async def test_what_is_counted_already_is_in_force_at_once(
    admin: httpx.AsyncClient, engine: AsyncEngine, profile_service: AnswersOfProfileService
) -> None:
    profile_service.leaves = {BOUGHT: True}
    await done(await publish(admin, "ready", COUNTING))
    assert not await warming(admin, "ready")
    assert (await in_force(engine))["ready"] == 1


async def test_the_version_before_stays_in_force_meanwhile(
    admin: httpx.AsyncClient,
    engine: AsyncEngine,
    profile_service: AnswersOfProfileService,
    definitions: ProfileDefinitions,
) -> None:
    await done(await publish(admin, "next", RULE))
    await done(await publish(admin, "next", COUNTING))
    assert await warming(admin, "next")
    assert (await in_force(engine))["next"] == 1
    await done(await publish(admin, "next", BOTH))
    assert (await in_force(engine))["next"] == 1
    await done(await admin.post("/v1/rules/next:pause"))
    assert "next" not in await in_force(engine)
    await done(await admin.post("/v1/rules/next:resume"))
    profile_service.leaves = {BOUGHT: True, SEEN: True}
    assert await warm_rules(engine, definitions.register_leaves) == ["next"]
    assert (await in_force(engine))["next"] == 3
    profile_service.leaves = {}
    await done(await publish(admin, "next", RULE))
    assert not await warming(admin, "next")
    assert (await in_force(engine))["next"] == 4


async def test_nothing_is_live_when_the_profile_service_is_away(
    admin: httpx.AsyncClient, engine: AsyncEngine, profile_service: AnswersOfProfileService
) -> None:
    profile_service.away = True
    refused = await publish(admin, "away", COUNTING)
    assert refused.status_code == 503
    assert "profile" in refused.json()["detail"]
    assert (await done(await admin.get("/v1/rules/away")))["status"] == "draft"
    assert "away" not in await in_force(engine)
    await done(await publish(admin, "plain", RULE))
    assert (await in_force(engine))["plain"] == 1


async def test_what_was_read_can_be_sent_back(
    admin: httpx.AsyncClient, profile_service: AnswersOfProfileService
) -> None:
    await done(await publish(admin, "back", COUNTING))
    body = await done(await admin.get("/v1/rules/back"))
    assert body["warming"]
    await done(await put_any(admin, "back", body))


async def test_validate_warns_of_what_is_probably_not_meant(
    admin: httpx.AsyncClient, profile_service: AnswersOfProfileService
) -> None:
    profile_service.segments = {"vip"}
    profile_service.traits = {"profile.tier": "string", "profile.plan": None}
    where = {"all": [{"attr": "event.a", "op": "gt", "value": 5},
                     {"attr": "event.a", "op": "lt", "value": 3}]}  # fmt: skip
    gone: dict[str, Any] = {"suitability": {"all": [{"segment": "vip"}, {"segment": "gone"}]}}
    gone["applicability"] = {"attr": "profile.tier", "op": "gt", "value": 3}
    gone["eligibility"] = {"attr": "profile.plan", "op": "gt", "value": 3}
    body = {**RULE, "trigger": {"event": "x", "where": where}, "engagement_policy": gone}
    checked = await done(await admin.post("/v1/rules/lint:validate", json=body))
    assert checked["valid"]
    assert {one["path"]: one["rule"] for one in checked["warnings"]} == {
        "trigger.where": "never_holds",
        "engagement_policy.applicability": "trait_type",
        "engagement_policy.suitability": "unknown_segment",
    }
    await done(await publish(admin, "lint", body))
    profile_service.away = True
    checked = await done(await admin.post("/v1/rules/lint:validate"))
    assert [one["rule"] for one in checked["warnings"]] == ["never_holds", "not_checked"]
    assert await done(await admin.post("/v1/rules/lint:validate", json=RULE)) == {"valid": True}


async def test_validate_warns_of_an_audience_that_is_not_there(
    admin: httpx.AsyncClient, profile_service: AnswersOfProfileService
) -> None:
    profile_service.segments = {"vip"}
    audience = {"all": [{"segment": "vip"}, {"segment": "gone"},
                        {"attr": "profile.computed.nothing", "op": "gt", "value": 3}]}  # fmt: skip
    trigger = {"type": "schedule", "rrule": "FREQ=DAILY;BYHOUR=9", "audience": audience}
    checked = await done(
        await admin.post("/v1/rules/lint:validate", json=RULE | {"trigger": trigger})
    )
    assert {(one["path"], one["rule"]) for one in checked["warnings"]} == {
        ("trigger.audience", "unknown_segment"),
        ("trigger.audience", "unknown_trait"),
    }
    trigger["audience"] = {"segment": "vip"}
    checked = await done(
        await admin.post("/v1/rules/lint:validate", json=RULE | {"trigger": trigger})
    )
    assert "warnings" not in checked
