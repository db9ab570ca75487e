"""Rules that segments, past touchpoints and schedules trigger, on the running services."""

import json
from functools import partial
from typing import Any

from shared import clock
from shared.contracts.times import rfc3339
from tests.acceptance.concert import Concert
from tests.support.eventually import eventually


def event(name: str, type_: str, who: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": name,
        "source": "shop",
        "type": type_,
        "occurred_at": rfc3339(clock.now()),
        "identifiers": [{"type": "user_id", "value": who}],
        **fields,
    }


def rule(trigger: dict[str, Any], text: str, **fields: Any) -> dict[str, Any]:
    return {
        "category": "transactional",
        "trigger": trigger,
        "actions": [{"type": "message", "channel": "app", "content": {"text": text}}],
        **fields,
    }


async def publish(concert: Concert, key: str, body: dict[str, Any]) -> dict[str, Any]:
    async with concert.api("orchestrator-api") as client:
        (await client.put(f"/v1/rules/{key}", json=body)).raise_for_status()
        answer = await client.post(f"/v1/rules/{key}:publish")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def get(concert: Concert, role: str, path: str) -> Any:
    async with concert.api(role) as client:
        answer = await client.get(path)
    return answer.raise_for_status().json()


async def until_in_force(concert: Concert, segment: str, *rules: str) -> None:
    """Wait until a segment has its members, and the past is known that these rules ask about."""
    await eventually(
        partial(get, concert, "profile-api", f"/v1/segments/{segment}/backfill"),
        until=lambda job: job["status"] == "done",
        what=f"{segment} has its members",
    )
    for key in rules:
        await eventually(
            partial(get, concert, "orchestrator-api", f"/v1/rules/{key}"),
            until=lambda rule: not rule["warming"],
            what=f"{key} is in force",
        )
    await concert.until_live()


async def said(concert: Concert, *texts: str) -> dict[str, int]:
    """How often each text was said on the app's channel, once each was."""

    async def counted() -> dict[str, int]:
        values = await concert.read(concert.topics.actions("app"))
        said = [value["content"].get("text") for value in values]
        return {text: said.count(text) for text in texts}

    return await eventually(counted, until=lambda counts: all(counts.values()), every=0.3)


async def test_past_touchpoints_segments_traits_and_schedules_trigger_rules(
    concert: Concert,
) -> None:
    visited = {"event": "Triggers Visit", "count": {"gte": 2}, "within": "P30D"}
    for name in ("v1", "v2"):
        await concert.publish(concert.event("app", event(name, "Triggers Visit", "regular")))
    await concert.publish(concert.event("app", event("v3", "Triggers Visit", "new")))
    await concert.until_done("app")

    async with concert.api("profile-api") as client:
        regulars = {"name": "Regulars", "condition": visited}
        (await client.put("/v1/segments/triggers-regular", json=regulars)).raise_for_status()
        (await client.post("/v1/segments/triggers-regular:publish")).raise_for_status()

    policy = {"applicability": visited}
    counting = rule({"event": "Triggers Asked"}, "counted", engagement_policy=policy)
    entered = {"type": "segment_entered", "segment": "triggers-regular"}
    await publish(concert, "triggers-counting", counting)
    await publish(concert, "triggers-entered", rule(entered, "entered"))
    changed = {"attr": "profile.triggers_tier", "op": "changed_to", "value": "gold"}
    tier = {"type": "trait_changed", "trait": "triggers_tier", "where": changed}
    await publish(concert, "triggers-tier", rule(tier, "gold"))
    await until_in_force(concert, "triggers-regular", "triggers-counting")

    await concert.publish(
        concert.event("app", event("a1", "Triggers Asked", "regular")),
        concert.event("app", event("a2", "Triggers Asked", "new")),
    )
    await concert.until_done("app")  # events without a key have no order among themselves
    await concert.publish(
        concert.event("app", event("v4", "Triggers Visit", "new")),
        concert.event("app", event("a3", "Triggers Set", "new", traits={"triggers_tier": "gold"})),
        concert.event("app", event("a4", "Triggers Set", "new", traits={"triggers_tier": "gold"})),
    )
    counts = await said(concert, "counted", "entered", "gold")
    await concert.until_done("app")
    counts = await said(concert, "counted", "entered", "gold")
    assert counts == {"counted": 1, "entered": 1, "gold": 1}

    scheduled = {
        "type": "schedule",
        "rrule": "FREQ=DAILY;BYHOUR=9",
        "zone": "Europe/Paris",
        "audience": {"segment": "triggers-regular"},
    }
    await publish(concert, "triggers-scheduled", rule(scheduled, "scheduled", valid={}))
    async with concert.api("orchestrator-api") as client:
        moved = await client.post("/v1/test-clock", json={"advance": "P1D"})
        assert moved.status_code == 200, moved.text
        try:
            await said(concert, "scheduled")
            await concert.until_done("app", "concert")
            assert await said(concert, "scheduled") == {"scheduled": 2}
        finally:
            (await client.delete("/v1/test-clock")).raise_for_status()
        (await client.post("/v1/rules/triggers-scheduled:archive")).raise_for_status()
    for value in await concert.read(concert.topics.channel("concert")):
        assert value["source"] == "concert", json.dumps(value)
