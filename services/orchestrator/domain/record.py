"""The record of a decision: every candidate, its stage and reason, and one sentence for people.

It is bounded: with very many candidates the details of those that fell are left out first.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.orchestrator.domain.decide import Considered, Planned
from services.orchestrator.domain.gates import Drop
from services.orchestrator.domain.holdout import Exposure
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.zone import Zone
from shared.contracts.decision import (
    Candidate,
    CandidateAction,
    Decision,
    DecisionZone,
    HoldoutExposure,
    Retraction,
)
from shared.contracts.times import rfc3339

MAX_EXPLAINED = 100
MAX_CANDIDATES = 1_000
MAX_IN_SENTENCE = 5
MAX_RETRACTS = 1_000
MAX_REASON = 200
HELD_OUT = "held_out"
BY_CLOCK = frozenset({"cap", "quiet_hours"})
SUPPRESSING = frozenset({"channel", "consent", "suppression", "holdout", "cap", "quiet_hours"})
"""Stages at which something that fitted was held back; the others say that it did not fit."""


def decision_record(
    *,
    decision_id: UUID,
    profile_id: str,
    profile_version: int,
    touchpoint_id: str | None,
    at: datetime,
    considered: Sequence[Considered],
    retracts: Sequence[tuple[UUID, str]],
    ruleset: RuleSet,
    zone: Zone | None = None,
) -> Decision:
    """The record. `considered` come in reading order, `retracts` with their reasons; `zone` is the
    person's where anything goes by their clock."""
    shown = considered[:MAX_CANDIDATES]
    planned = [action for one in considered for action in one.planned]
    versions = {f"rule:{one.live.key}": one.live.rule.version for one in shown}
    versions |= {f"contact_policy:{policy.key}": policy.version for policy in ruleset.policies}
    versions["configuration"] = ruleset.epoch
    return Decision(
        id=str(decision_id),
        profile_id=profile_id,
        profile_version=profile_version,
        touchpoint_id=touchpoint_id,
        at=rfc3339(at),
        candidates=[
            _candidate(one, detailed=place < MAX_EXPLAINED) for place, one in enumerate(shown)
        ],
        outcome=outcome(considered, at),
        action_ids=[str(action.action_id) for action in planned],
        retracts=[
            Retraction(action_id=str(action), reason=why[:MAX_REASON])
            for action, why in retracts[:MAX_RETRACTS]
        ],
        versions=versions,
        sentence=_sentence(considered, retracts, at, zone),
        zone=None if zone is None else DecisionZone(name=zone.name, source=zone.source),
    )


def outcome(considered: Sequence[Considered], at: datetime) -> str:
    """sent, task_created, deferred, held_out, suppressed or none: the first that is true."""
    planned = [action for one in considered for action in one.planned]
    now = [action for action in planned if action.due_at <= at]
    if any(action.spec.kind == "send" for action in now):
        return "sent"
    if now:
        return "task_created"
    if planned:
        return "deferred"
    if any(one.drop is not None and one.drop.reason == HELD_OUT for one in considered):
        return HELD_OUT
    held = any(one.drop is not None and one.drop.stage in SUPPRESSING for one in considered)
    return "suppressed" if held else "none"


def deciding_stage(considered: Sequence[Considered]) -> str:
    """The stage at which the best candidate stopped; `chosen` when one won."""
    if not considered or considered[0].drop is None:
        return "chosen"
    return considered[0].drop.stage


def _candidate(one: Considered, *, detailed: bool) -> Candidate:
    drop = one.drop
    show_actions = detailed and (one.planned or len(one.dropped) > 1)
    return Candidate(
        rule=one.live.key,
        version=one.live.rule.version,
        stage="chosen" if drop is None else drop.stage,
        passed=drop is None,
        reason="chosen" if drop is None else drop.reason,
        detail=drop.detail() if detailed and drop is not None else None,
        score=one.score,
        actions=_actions(one) if show_actions else [],
        holdouts=[_exposure(exposure) for exposure in one.exposures],
    )


def _exposure(one: Exposure) -> HoldoutExposure:
    return HoldoutExposure(
        layer=one.layer,
        salt=one.holdout.salt,
        percent=one.holdout.percent,
        bucket=one.bucket,
        held_out=one.held_out,
    )


def _actions(one: Considered) -> list[CandidateAction]:
    found = {action.index: _planned(action) for action in one.planned}
    found |= {index: _dropped(one, index, drop) for index, drop in one.dropped.items()}
    return [found[index] for index in sorted(found)]


def _planned(action: Planned) -> CandidateAction:
    return CandidateAction(
        index=action.index,
        channel=action.spec.channel,
        stage="chosen",
        reason="chosen",
        action_id=str(action.action_id),
        due_at=rfc3339(action.due_at),
        waits_for=action.waits_for,
    )


def _dropped(one: Considered, index: int, drop: Drop) -> CandidateAction:
    return CandidateAction(
        index=index,
        channel=one.live.rule.actions[index].channel,
        stage=drop.stage,
        reason=drop.reason,
        detail=drop.detail(),
    )


def _sentence(
    considered: Sequence[Considered],
    retracts: Sequence[tuple[UUID, str]],
    at: datetime,
    zone: Zone | None,
) -> str:
    parts: list[str] = []
    for one in considered:
        if one.planned:
            what = " and ".join(_done(action, at) for action in one.planned)
            parts.append(f"{one.live.key} was chosen: {what}.")
    fallen = [one for one in considered if one.drop is not None]
    for one in fallen[:MAX_IN_SENTENCE]:
        assert one.drop is not None  # noqa: S101 - filtered just above
        parts.append(f"{one.live.key} was not: {_why(one.drop)}.")
    if len(fallen) > MAX_IN_SENTENCE:
        parts.append(f"{len(fallen) - MAX_IN_SENTENCE} more were not.")
    if retracts:
        reasons = ", ".join(sorted({why for _, why in retracts})[:MAX_IN_SENTENCE])
        count = f"{len(retracts)} action{'' if len(retracts) == 1 else 's'}"
        parts.append(f"{count} taken back ({reasons}).")
    if zone is not None and zone.source == "default" and any(_by_clock(one) for one in considered):
        parts.append(f"The time zone is not known: {zone.name} was assumed.")
    return " ".join(parts)


def _by_clock(one: Considered) -> bool:
    """Whether the candidate came as far as the gates that go by the person's clock."""
    return bool(one.planned) or (one.drop is not None and one.drop.stage in BY_CLOCK)


def _done(action: Planned, at: datetime) -> str:
    when = "now" if action.due_at <= at else f"at {rfc3339(action.due_at)}"
    waits = "" if action.waits_for is None else f" (after {action.waits_for})"
    return f"{action.spec.type} on {action.spec.channel} {when}{waits}"


def _why(drop: Drop) -> str:
    seen = "nothing" if drop.actual is None else repr(drop.actual)
    return f"{drop.stage} ({drop.reason}), needed: {drop.condition}, seen: {seen}"
