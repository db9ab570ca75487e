"""Schedules: one event for everybody when the instant has come, and who answers it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.orchestrator.domain.journeys.live import LiveJourney
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.storage import schedules
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases import fire_schedules as firing
from services.orchestrator.use_cases.change_status import change_status
from services.orchestrator.use_cases.check_configuration import parsed_journey
from services.orchestrator.use_cases.fire_schedules import fire_schedules
from services.orchestrator.use_cases.publish_draft import publish_draft
from services.orchestrator.use_cases.save_draft import save_draft
from shared.contracts.times import parse_rfc3339
from shared.contracts.topics import Topics
from shared.ids import touchpoint_id
from shared.postgres.audit import Who
from shared.postgres.transaction import transaction
from tests.integration.orchestrator.stage import COUNTS, Stage
from tests.unit.orchestrator.build import rule, rule_json, ruleset
from tests.unit.orchestrator.journeys.build import document, end

WHO = Who("test", "admin")
LYON = {"attr": "profile.city", "op": "eq", "value": "Lyon"}
HOUR = timedelta(hours=1)


def scheduled(rrule: str = "FREQ=HOURLY") -> dict[str, Any]:
    return rule_json(trigger={"type": "schedule", "rrule": rrule, "audience": LYON})


async def register(leaves: Any) -> dict[str, bool]:
    raise AssertionError(f"{leaves} should not be registered")


async def publish(stage: Stage, key: str, body: dict[str, Any], *, kind: Kind = Kind.RULE) -> None:
    await save_draft(stage.engine, kind, key, body, may_replace=lambda _number: None, who=WHO)
    await publish_draft(
        stage.engine,
        kind,
        key,
        register=register,
        may_replace=lambda _number: None,
        who=WHO,
    )


async def fire(stage: Stage) -> int:
    return await fire_schedules(stage.engine, topics=Topics(), counts=COUNTS, limit=10)


async def next_due(stage: Stage, key: str) -> datetime | None:
    found: datetime | None = await stage.scalar(
        "SELECT due_at FROM rule_schedule WHERE rule = :key", key=key
    )
    return found


async def test_whoever_dies_on_the_way_has_published_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(stage, "hourly", scheduled())
    due = await next_due(stage, "hourly")
    await stage.advance(HOUR)

    def die(point: str) -> None:
        raise KeyboardInterrupt(point)

    with monkeypatch.context() as dying:
        dying.setattr(firing, "crash_point", die)
        with pytest.raises(KeyboardInterrupt, match=firing.SCHEDULE_POINTS[0]):
            await fire(stage)
    assert await next_due(stage, "hourly") == due
    assert await stage.messages("channel.concert") == []
    assert await fire(stage) == 1
    assert len(await stage.messages("channel.concert")) == 1


async def test_an_occurrence_is_one_event_for_its_audience(stage: Stage) -> None:
    await publish(stage, "once-each", scheduled())
    due = await next_due(stage, "once-each")
    assert due is not None
    assert due > await stage.now()
    assert (due.minute, due.second) == (0, 0)
    assert await fire(stage) == 0
    await stage.advance(HOUR)
    assert await fire(stage) == 1
    assert await fire(stage) == 0
    (event,) = await stage.messages("channel.concert")
    assert event.value["type"] == "concert.schedule"
    assert event.value["source"] == "concert"
    assert event.value["audience"] == LYON
    assert "identifiers" not in event.value
    instant = parse_rfc3339(event.value["properties"]["occurrence"])
    assert event.value["properties"]["rule"] == "once-each"
    assert instant == parse_rfc3339(event.value["occurred_at"]) == due
    assert await next_due(stage, "once-each") == due + HOUR


async def test_of_missed_occurrences_only_the_last_is_made_up_for(stage: Stage) -> None:
    await publish(stage, "missed", scheduled())
    due = await next_due(stage, "missed")
    assert due is not None
    await stage.advance(7 * HOUR)
    assert await fire(stage) == 1
    (event,) = await stage.messages("channel.concert")
    assert parse_rfc3339(event.value["occurred_at"]) == due + 6 * HOUR
    assert await next_due(stage, "missed") == due + 7 * HOUR


async def test_a_paused_rule_has_no_occurrence_and_a_resumed_one_looks_ahead(
    stage: Stage,
) -> None:
    await publish(stage, "paused", scheduled())
    await change_status(stage.engine, Kind.RULE, "paused", "pause", who=WHO)
    assert await next_due(stage, "paused") is None
    await stage.advance(3 * HOUR)
    assert await fire(stage) == 0
    await change_status(stage.engine, Kind.RULE, "paused", "resume", who=WHO)
    due = await next_due(stage, "paused")
    assert due is not None
    assert due > await stage.now()
    await publish(stage, "paused", scheduled("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29"))
    moved = await next_due(stage, "paused")
    assert moved is not None
    assert (moved.month, moved.day) == (2, 29)
    await publish(stage, "paused", rule_json())
    assert await next_due(stage, "paused") is None
    await publish(stage, "paused", scheduled())
    await change_status(stage.engine, Kind.RULE, "paused", "archive", who=WHO)
    assert await next_due(stage, "paused") is None


async def test_a_schedule_that_is_over_has_no_next_occurrence(stage: Stage) -> None:
    await publish(stage, "over", scheduled("FREQ=DAILY;UNTIL=20200101"))
    assert await next_due(stage, "over") is None


async def test_the_copy_of_the_event_triggers_its_rule_and_no_other(stage: Stage) -> None:
    stage.rules = ruleset(rule("mine", **scheduled()), rule("other", **scheduled()))
    fields = {"properties": {"rule": "mine"}, "channel": "concert"}
    await stage.does("copy", "concert.schedule", source="concert", **fields)
    (action,) = await stage.messages("actions.email")
    assert action.value["rule"] == "mine"
    await stage.does("forged", "concert.schedule", source="shop", **fields)
    assert len(await stage.messages("actions.email")) == 1


async def test_a_scheduled_journey_goes_to_its_audience_too(stage: Stage) -> None:
    body = document(end(), entry=scheduled()["trigger"])
    await publish(stage, "evening", body, kind=Kind.JOURNEY)
    await publish(stage, "evening", scheduled())
    await stage.advance(HOUR)
    assert await fire(stage) == 2
    events = {tuple(one.value["properties"]): one.value
              for one in await stage.messages("channel.concert")}  # fmt: skip
    event = events["journey", "occurrence"]
    assert event["audience"] == LYON
    assert event["id"] != events["rule", "occurrence"]["id"], "a rule and a journey of one name"
    [let_in] = await stage.rows("SELECT journey, at, touchpoint_id FROM journey_audience")
    assert (let_in.journey, let_in.at) == ("evening", parse_rfc3339(event["occurred_at"]))
    assert let_in.touchpoint_id == touchpoint_id("concert", event["id"])
    stage.rules = RuleSet(epoch=1, journeys=[LiveJourney([parsed_journey("evening", body, 1)],
                                                         live=1)])  # fmt: skip
    for name, key in (("mine", "evening"), ("other", "morning")):
        await stage.does(name, "concert.schedule", source="concert", properties={"journey": key})
    assert len(await stage.rows("SELECT id FROM journey_run")) == 1


async def test_what_cannot_be_published_is_put_off_alone(stage: Stage) -> None:
    await publish(stage, "first", scheduled())
    await publish(stage, "second", document(end(), entry=scheduled()["trigger"]), kind=Kind.JOURNEY)
    await stage.scalar("UPDATE rule_schedule SET due_at = due_at - interval '1 min' RETURNING 1")
    await stage.advance(HOUR)
    now = await stage.now()
    async with transaction(stage.engine) as tx:
        await schedules.postpone_first(tx)
    late = await next_due(stage, "first")
    assert late is not None
    assert late > now
    assert await fire(stage) == 1
    [event] = await stage.messages("channel.concert")
    assert event.value["properties"]["journey"] == "second"


async def test_the_same_occurrence_has_the_same_id(stage: Stage) -> None:
    await publish(stage, "same", scheduled())
    await stage.advance(HOUR)
    await fire(stage)
    (first,) = await stage.messages("channel.concert")
    at = parse_rfc3339(first.value["occurred_at"]).astimezone(UTC)
    await stage.scalar(
        "UPDATE rule_schedule SET due_at = :at WHERE rule = 'same' RETURNING 1", at=at
    )
    await fire(stage)
    again = (await stage.messages("channel.concert"))[-1]
    assert again.value["id"] == first.value["id"]
