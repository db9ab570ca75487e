"""What is published is what the worker uses, at once, and nothing that was only drafted."""

from collections.abc import Iterable
from typing import Any

import pytest

from services.orchestrator.domain.journeys.journey import Act
from services.orchestrator.storage import saved
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.storage.timers import count
from services.orchestrator.use_cases.load_ruleset import live_ruleset
from shared import clock
from shared.errors import Infrastructure
from shared.postgres import drafts, epochs
from shared.postgres.transaction import transaction
from tests.integration.orchestrator.stage import Stage, ask_for_topics
from tests.unit.orchestrator.build import rule_json
from tests.unit.orchestrator.journeys.build import document, end, mail

RULE, POLICY = Kind.RULE, Kind.CONTACT_POLICY


async def publish(stage: Stage, kind: Kind, key: str, body: dict[str, Any]) -> None:
    """Store a version and make it live, without the checks of the API."""
    now = clock.now()
    async with transaction(stage.engine) as tx:
        await drafts.insert(tx, kind, key, body, at=now, by="test")
        version = await drafts.insert_version(tx, kind, key, at=now, by="test")
        await drafts.set_status(
            tx, kind, key, drafts.Status.LIVE, version=version.version, at=now, by="test"
        )
        await epochs.bump_epoch(tx)


async def test_follows_the_epoch(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    live = live_ruleset(stage.engine, ask_for_topics)
    with pytest.raises(Infrastructure):
        live()
    assert await live.refresh()
    assert not await live.refresh()
    await publish(stage, RULE, "good", rule_json())
    await publish(stage, RULE, "broken", {"trigger": 7})
    await publish(stage, POLICY, "default", {"caps": [{"limit": 1, "window": "P1D"}]})
    async with transaction(stage.engine) as tx:
        await drafts.insert(tx, RULE, "draft", rule_json(), at=clock.now(), by="test")
        content = {"content": {"en": {"body": "Hi"}}}
        await saved.insert(tx, saved.Kind.TEMPLATE, "hi", content, at=clock.now(), by="test")
        await saved.insert(
            tx, saved.Kind.CHANNEL, "fax", {"kind": "offline"}, at=clock.now(), by="test"
        )
    assert await live.refresh()
    rules = live()
    assert set(rules.rules) == {"good"}
    assert [len(policy.caps) for policy in rules.policies] == [1]
    assert "hi" in rules.templates
    assert not rules.channels["fax"].online
    assert "rule broken version 1 is not used" in caplog.text
    async with transaction(stage.engine) as tx:
        now = clock.now()
        await drafts.set_status(tx, RULE, "good", drafts.Status.PAUSED, at=now, by="test")
        await epochs.bump_epoch(tx)
    assert await live.refresh()
    assert not live().rules


async def test_the_topics_of_every_channel_are_asked_for_before_it_is_used(stage: Stage) -> None:
    """Else the first message of a new channel holds up everybody's answers."""
    asked: list[set[str]] = []
    in_force: list[int] = []

    async def open_channels(channels: Iterable[str]) -> None:
        asked.append(set(channels))
        in_force.append(len(live().channels) if len(asked) > 1 else 0)

    live = live_ruleset(stage.engine, open_channels)
    await live.refresh()
    assert asked[0] >= {"web", "email"}
    async with transaction(stage.engine) as tx:
        for key in ("telex", "pager"):
            await saved.insert(tx, saved.Kind.CHANNEL, key, {}, at=clock.now(), by="test")
        await epochs.bump_epoch(tx)
    await live.refresh()
    assert asked[1] == asked[0] | {"telex", "pager"}
    assert in_force[1] == len(live().channels) - 2, "it was asked before the channels were in force"


async def test_a_journey_that_is_as_it_was_is_not_compiled_again(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    live = live_ruleset(stage.engine, ask_for_topics)
    await publish(stage, Kind.JOURNEY, "same", document(mail("hi"), end()))
    await publish(stage, Kind.JOURNEY, "other", document(end()))
    await publish(stage, Kind.JOURNEY, "broken", {"nodes": 7})
    await live.refresh()
    before = live().journeys.journeys
    assert before.keys() == {"same", "other"}
    assert "journey broken version 1 is not used" in caplog.text
    async with transaction(stage.engine) as tx:
        await drafts.set_status(
            tx, Kind.JOURNEY, "other", drafts.Status.PAUSED, at=clock.now(), by="test"
        )
        await epochs.bump_epoch(tx)
    await live.refresh()
    after = live().journeys.journeys
    assert after["same"] is before["same"]
    assert (before["other"].paused, after["other"].paused) == (False, True)
    assert after["other"].versions[1].journey is before["other"].versions[1].journey
    async with transaction(stage.engine) as tx:
        await saved.insert(
            tx, saved.Kind.CHANNEL, "email", {"fallback": "sms"}, at=clock.now(), by="test"
        )
        await epochs.bump_epoch(tx)
    await live.refresh()
    does = live().journeys.journeys["same"].versions[1].nodes["hi"].does
    assert isinstance(does, Act)
    assert [one.spec.channel for one in does.spec.fallback] == ["sms"]


async def test_counts_timers(stage: Stage) -> None:
    await stage.rows(
        """
        INSERT INTO timer (due_at, kind, profile_id, ref, gen)
        SELECT clock.now() + (n - 3) * interval '1 hour', 'close', gen_random_uuid(),
               gen_random_uuid(), 0
          FROM generate_series(1, 10) AS n RETURNING id
        """
    )
    async with transaction(stage.engine) as tx:
        assert await count(tx) == (10, 3)
