"""Somebody asks what to do now: who asks about whom, and the rules as they stand for one channel.

An ask is a cause of its own: conditions see `event.channel` (who asks), `event.type` (`decide`),
`event.slot` and whatever `context` the channel gave. It is answered on the channel that asks and
nowhere else: of each rule one action competes, the one on that channel. A rule without one competes
with its first action, so that the answer is the same whoever asks first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec

from services.orchestrator.domain.decide import Considered
from services.orchestrator.domain.gates import Drop
from services.orchestrator.domain.live_rule import LiveRule
from services.orchestrator.domain.rule import ActionSpec, Rule
from services.orchestrator.domain.trigger_index import ASK
from services.orchestrator.domain.unproved import UNAVAILABLE
from services.orchestrator.domain.update import ASKED, Cause, Moment, facts_of
from shared.contracts.profile_update import ProfileSnapshot
from shared.contracts.times import rfc3339

NOW = timedelta(0)
UNKNOWN = "unknown"
"""The status of the empty profile that stands for somebody unknown."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What a channel asks for: which slot of it, and what it knows of the moment."""

    channel: str
    slot: str
    context: Mapping[str, Any]
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """Whom the ask is about, as just read. `version` is the number of their last update."""

    profile_id: str
    version: int
    profile: ProfileSnapshot
    profile_json: bytes


def nobody(profile_id: str, at: datetime, *, unavailable: bool = False) -> Person:
    """Somebody unknown, or who could not be read in time: a profile without anything, under an id
    that stands for this once."""
    instant = rfc3339(at)
    profile = ProfileSnapshot(
        id=profile_id,
        status=UNAVAILABLE if unavailable else UNKNOWN,
        identifiers=[],
        identifiers_total=0,
        traits={},
        computed={},
        created_at=instant,
        last_seen_at=instant,
    )
    return Person(profile_id, 0, profile, msgspec.json.encode(profile))


def cause_of(ask: Ask, decision_id: UUID, at: datetime) -> Cause:
    """The ask as the cause of its decision, whose id it has."""
    instant = rfc3339(at)
    return Cause(
        kind=ASKED,
        id=str(decision_id),
        type=ASK,
        channel=ask.channel,
        occurred_at=instant,
        received_at=instant,
        properties={"slot": ask.slot},
        context=dict(ask.context),
        trace=ask.trace,
    )


def moment_of(person: Person, stands_for: str, cause: Cause, at: datetime) -> Moment:
    """The moment of an ask. `stands_for`: the profile in whose name things are done."""
    return Moment(
        profile_id=stands_for,
        of=person.profile_id,
        seq=person.version,
        cause=cause,
        cause_json=msgspec.json.encode(cause),
        profile=person.profile,
        profile_json=person.profile_json,
        facts=facts_of(person.profile, cause, at),
        occurred=cause.occurred,
    )


def place_on(rule: Rule, channel: str) -> int | None:
    """The index of the rule's action on a channel: the first, if it has several."""
    return next((n for n, spec in enumerate(rule.actions) if spec.channel == channel), None)


def spec_on(rule: Rule, channel: str) -> ActionSpec | None:
    """The rule's action on a channel."""
    place = place_on(rule, channel)
    return None if place is None else rule.actions[place]


@lru_cache(maxsize=20_000)
def asked_on(live: LiveRule, channel: str) -> LiveRule:
    """The rule as it competes for an ask: with one action, at once, without another way to act."""
    spec = live.rule.actions[place_on(live.rule, channel) or 0]
    only = replace(spec, delay=NOW, fallback=())
    return replace(live, rule=replace(live.rule, actions=(only,), window=None))


def choose(considered: Sequence[Considered], channel: str, at: datetime) -> Considered | None:
    """The one answer among what was decided. Those behind it, and what can only be done later,
    are marked as dropped; the best is too when it has no action on the channel that asks."""
    best: Considered | None = None
    for one in considered:
        if not one.planned:
            continue
        due = one.planned[0].due_at
        if due > at:
            _drop(one, later(at, due))
        elif best is None:
            best = one
        else:
            beats = f"a better score than {best.live.key}"
            _drop(one, Drop("arbitration", "lower_priority", beats, _total(best), _total(one)))
    if best is not None and best.planned[0].spec.channel != channel:
        _drop(best, Drop("channel", OTHER_CHANNEL, f"an action on {channel}", channel,
                         best.planned[0].spec.channel))  # fmt: skip
    return best


OTHER_CHANNEL = "other_channel"


def later(at: datetime, due: datetime) -> Drop:
    """What may only be done later is no answer now."""
    return Drop("quiet_hours", "later", "it may be done now", rfc3339(at), rfc3339(due))


def _drop(one: Considered, drop: Drop) -> None:
    one.drop = drop
    one.planned = []


def _total(one: Considered) -> float | None:
    return None if one.score is None else one.score.total
