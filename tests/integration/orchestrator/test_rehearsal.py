"""A rehearsal does what the worker and the poller do: the same updates, the same actions."""

import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.storage import timers
from services.orchestrator.storage.timers import Due
from services.orchestrator.use_cases.rehearsal.memory import Memory
from services.orchestrator.use_cases.rehearsal.rehearsal import Rehearsal
from shared.ids import touchpoint_id
from shared.kafka.records import Record
from tests.integration.orchestrator.stage import Stage
from tests.unit.orchestrator.build import (
    NOON,
    action_id,
    email,
    policy,
    profile_json,
    rule,
    ruleset,
    uid,
)
from tests.unit.orchestrator.rehearsal.replayed import Recording

EVENTS = ("Cart Updated", "Page Viewed", "Order Completed", "Seen")
FALLBACK = {"on": ["undeliverable", "ignored", "capped", "expired"], "channel": "email",
            "content": {"body": "Hi"}}  # fmt: skip
RULES = [
    rule("at-once", category="marketing", score={"value": 3}),
    rule("waits", "Page Viewed", category="marketing", actions=[email(delay="PT3H")],
         exit_criteria=[{"event": "Order Completed"}]),
    rule("seldom", category="marketing", score={"value": 9},
         re_entry={"mode": "always", "cooldown": "P2D"}),
    rule("push", "Page Viewed", actions=[email(channel="push", expires_in="PT4H",
                                              fallback=[FALLBACK])]),
    rule("call", "Order Completed", actions=[
        {"type": "task", "channel": "call_centre", "queue": "calls", "content": {"body": "Call"},
         "expires_in": "PT6H"}]),
    rule("collected", "Seen", category="marketing", score={"value": 5},
         arbitration={"window": "PT30M"}),
    rule("collected-too", "Seen", score={"value": 7}, arbitration={"window": "PT30M"}),
]  # fmt: skip
POLICY = policy(
    {"scope": {"category": "marketing"}, "limit": 2, "window": "P2D"},
    {"scope": {"category": "marketing"}, "limit": 3, "window": "P2D", "per": "household"},
    {"scope": {"channel": "email"}, "limit": 2, "window": "P1D", "kind": "calendar"},
    quiet_hours=[{"channels": ["push"], "from": "21:00", "to": "07:00", "action": "defer",
                  "max_defer": "P1D"}],
    suppressions=[{"on": {"outcome": "ignored", "channel": "push", "count": 1, "within": "P3D",
                          "per": "channel"}, "for": "P2D"}],
    arbitration={"max_actions": 2},
)  # fmt: skip


def recorded(seed: int, *, updates: int) -> Recording:
    """Four people, two of them of one household, over some days; now and then a channel says what
    became of something."""
    chance, recording, at = random.Random(seed), Recording(), NOON
    asked: list[tuple[str, str, str]] = []
    for number in range(updates):
        at += timedelta(minutes=chance.choice((0, 1, 7, 40, 180)))
        who, event = chance.choice(("ada", "bob", "cleo", "dan")), chance.choice(EVENTS)
        household = uid("home") if who in ("ada", "bob") else None
        profile = profile_json(uid(who), household=household, timezone="Europe/Paris")
        if asked and chance.random() < 0.3:
            key, touchpoint, owner = chance.choice(asked)
            said = chance.choice(("delivered", "bounced", "ignored", "clicked", "failed"))
            profile["id"] = uid(owner)
            recording.happens(
                at, f"push.{said}", who=owner, name=f"said-{number}", profile=profile,
                properties={"action_id": str(action_id(key, touchpoint))},
            )  # fmt: skip
            continue
        name = f"touch-{number}"
        recording.happens(at, event, who=who, name=name, profile=profile)
        asked += ((one.key, name, who) for one in RULES if one.trigger.event == event)
    return recording


class Clock:
    """The business clock of a test: it stands where it is put."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = NOON
        monkeypatch.setattr(timers, "now", self._now)
        monkeypatch.setattr(timers, "due", self._due)

    async def _now(self, _: Any) -> datetime:
        return self.at

    async def _due(self, tx: Any, limit: int, since: datetime | None = None) -> list[Due]:
        sql = text(
            "SELECT due_at, id, profile_id::text FROM timer WHERE due_at <= :at"
            " ORDER BY due_at, id LIMIT :limit"
        )
        rows = await tx.execute(sql, {"at": self.at, "limit": limit})
        return [Due(row.due_at, row.id, row.profile_id) for row in rows]


class Working:
    """The worker and the poller, each timer at its instant. What Concert says of tasks itself comes
    round at once, so updates get other numbers than those of the recording."""

    def __init__(self, stage: Stage, clock: Clock) -> None:
        self._stage = stage
        self._clock = clock
        self._told = 0
        self._snapshots: dict[str, Any] = {}

    async def work(self, recording: Recording, end: datetime) -> None:
        for record in recording.records:
            await self._wait(stamped(record))
            update = json.loads(record.value or b"")
            self._snapshots[update["profile_id"]] = update["profile"]
            await self._answer(update["profile_id"], update["cause"])
        await self._wait(end)

    async def _wait(self, until: datetime) -> None:
        sql = "SELECT min(due_at) FROM timer"
        while (due := await self._stage.scalar(sql)) and due <= until:
            self._clock.at = due
            assert await self._stage.fire(limit=1)
            said = await self._stage.messages("channel.call_centre")
            for one in said[self._told :]:
                self._told += 1
                id_ = str(touchpoint_id(one.value["source"], one.value["id"]))
                cause = one.value | {"id": id_, "kind": "track", "channel": "call_centre"}
                await self._answer(one.key, cause)
        self._clock.at = until

    async def _answer(self, who: str, cause: dict[str, Any]) -> None:
        snapshot = self._snapshots[who]
        await self._stage.respond(self._stage.record(who, cause, profile=snapshot))


def stamped(record: Record) -> datetime:
    return datetime.fromtimestamp(record.timestamp / 1000, UTC)


def rehearse(rules: RuleSet, recording: Recording, end: datetime) -> tuple[Rehearsal, Memory]:
    """A rehearsal of one and the same configuration on both sides, and what the draft's knows."""
    made = Rehearsal(rules, rules, begins=NOON, room=100_000)
    for record in recording.records:
        made.take(record, stamped(record))
    made.end(end)
    return made, made.worlds[1].memory


@pytest.mark.parametrize("seed", range(4))
async def test_the_same_actions_and_decisions_as_the_worker_and_the_poller(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    stage.rules = ruleset(*RULES, policies=[POLICY])
    recording = recorded(seed, updates=250)
    end = stamped(recording.records[-1]) + timedelta(days=2)
    await stage.advance(timedelta(days=400))  # tasks look at the clock of the database
    await Working(stage, Clock(monkeypatch)).work(recording, end)
    made, memory = rehearse(stage.rules, recording, end)

    rows = await stage.rows(
        "SELECT action_id, a.status, published_at, c.status = 'released' AS released, c.at"
        "  FROM action AS a JOIN contact_ledger AS c USING (action_id)"
    )
    theirs = {row.action_id: (row.status, row.published_at, row.released, row.at) for row in rows}
    ours = {
        id_: (told.status, told.published_at, told.released, told.contact.at)
        for id_, told in memory.told.items()
    }
    assert ours == theirs
    assert len({status for status, *_ in theirs.values()}) > 3, "little happened"

    counts = made.counts()
    decisions = [one.value for one in await stage.messages("decisions")]
    assert counts["decisions"]["draft"] == len(decisions)
    reasons = Counter(
        one["reason"] for decision in decisions for one in decision["candidates"]
        if not one["passed"] and one["reason"] not in ("held", "no_fallback")
        and one["stage"] != "suppression"
    )  # fmt: skip
    ours_too = {name: both["draft"] for name, both in counts["by_reason"].items()}
    assert reasons == {
        name: n for name, n in ours_too.items() if not name.startswith(("taken back", "suppr"))
    }
    sent = [
        one.value for channel in ("email", "push", "call_centre")
        for one in await stage.messages(f"actions.{channel}") if one.value["kind"] != "retract"
    ]  # fmt: skip
    assert counts["actions"] == {"live": len(sent), "draft": len(sent)}
    assert {name: both["live"] for name, both in counts["by_rule"].items()} == Counter(
        one["rule"] for one in sent
    )
    assert made.changed_total == 0
