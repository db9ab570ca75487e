"""The record of a decision: every candidate, its stage and reason, and one sentence for people.

It is bounded: with very many candidates the details of those that fell are left out first.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from services.orchestrator.domain.decide import Considered
from services.orchestrator.domain.effects import TakenBack
from services.orchestrator.domain.experiments.in_force import Assigned
from services.orchestrator.domain.gates import Drop
from services.orchestrator.domain.holdout import Exposure
from services.orchestrator.domain.options import Choice
from services.orchestrator.domain.planned import Planned
from services.orchestrator.domain.sentence import sentence_of
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.zone import Zone
from shared.contracts.decision import (
    Candidate,
    CandidateAction,
    Decision,
    DecisionZone,
    ExperimentArm,
    HoldoutExposure,
    Retraction,
)
from shared.contracts.times import rfc3339

MAX_EXPLAINED = 100
MAX_CANDIDATES = 1_000
MAX_RETRACTS = 1_000
MAX_REASON = 200
HELD_OUT = "held_out"
SUPPRESSING = frozenset(
    {
        *("channel", "consent", "suppression", "holdout", "experiment", "cap", "quiet_hours"),
        "capacity",
    }
)
"""Stages at which something that fitted was held back; the others say that it did not fit."""
NOTHING: Mapping[UUID, TakenBack] = {}


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
    together: bool = False,
    taken_back: Mapping[UUID, TakenBack] = NOTHING,
) -> Decision:
    """The record. `considered` come in reading order, `retracts` with their reasons (and those of
    them that were actions in `taken_back`, with how far they had come); `zone` is the
    person's where anything goes by their clock; `together` says that the candidates are those of
    several touchpoints."""
    retracts = [(action, why[:MAX_REASON]) for action, why in retracts]
    shown = considered[:MAX_CANDIDATES]
    planned = [action for one in considered for action in one.planned]
    versions = {f"rule:{one.live.key}": one.live.rule.version for one in shown}
    versions |= {f"contact_policy:{policy.key}": policy.version for policy in ruleset.policies}
    versions |= _versions_used(planned, ruleset)
    versions["configuration"] = ruleset.epoch
    return Decision(
        id=str(decision_id),
        profile_id=profile_id,
        profile_version=profile_version,
        touchpoint_id=touchpoint_id,
        at=rfc3339(at),
        candidates=[
            _candidate(one, detailed=place < MAX_EXPLAINED, together=together)
            for place, one in enumerate(shown)
        ],
        outcome=outcome(considered, at),
        action_ids=[str(action.action_id) for action in planned],
        retracts=[
            _retraction(action, why, taken_back.get(action))
            for action, why in retracts[:MAX_RETRACTS]
        ],
        versions=versions,
        sentence=sentence_of(considered, retracts, at, zone),
        zone=None if zone is None else DecisionZone(name=zone.name, source=zone.source),
    )


def _retraction(action_id: UUID, why: str, back: TakenBack | None) -> Retraction:
    said = Retraction(action_id=str(action_id), reason=why[:MAX_REASON])
    if back is not None:
        said.channel, said.reached = back.channel, back.reached
    return said


def _versions_used(planned: Sequence[Planned], ruleset: RuleSet) -> dict[str, int]:
    """The templates and channels of what was planned; a channel that nobody saved has none."""
    found = {}
    for action in planned:
        template = ruleset.templates.get(action.spec.template or "")
        if template is not None:
            found[f"template:{template.key}"] = template.version
        channel = ruleset.channels[action.spec.channel]
        if channel.version:
            found[f"channel:{channel.key}"] = channel.version
    return found


def outcome(considered: Sequence[Considered], at: datetime) -> str:
    """sent, task_created, deferred, held_out, suppressed or none: the first that is true."""
    planned = [action for one in considered for action in one.planned]
    now = [action for action in planned if action.due_at <= at]
    if any(action.spec.kind == "send" for action in now):
        return "sent"
    if now:
        return "task_created"
    waiting = any(one.drop is not None and one.drop.reason == "held" for one in considered)
    if planned or waiting:
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


def _candidate(one: Considered, *, detailed: bool, together: bool) -> Candidate:
    drop, step = one.drop, one.situation.step
    journey, _, node = one.live.key.partition("/") if step is not None else ("", "", "")
    return Candidate(
        rule=one.live.key,
        version=one.live.rule.version,
        stage="chosen" if drop is None else drop.stage,
        passed=drop is None,
        reason="chosen" if drop is None else drop.reason,
        detail=drop.detail() if detailed and drop is not None else None,
        score=one.score,
        actions=_actions(one) if detailed else [],
        touchpoint_id=one.situation.moment.cause.touchpoint if together else None,
        holdouts=[_exposure(exposure) for exposure in one.exposures],
        experiment=None if one.assigned is None else _arm(one.assigned),
        journey=journey or None,
        node=node or None,
        run=None if step is None else str(step.run),
    )


def _arm(one: Assigned) -> ExperimentArm:
    return ExperimentArm(
        key=one.experiment, version=one.version, phase=one.phase, arm=one.arm, why=one.why
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
    """Every option; none of a rule whose one action has none and was not planned."""
    options = sum(len(choice.specs) for choice in one.choices)
    if options < 2 and not one.planned:
        return []
    found = {(action.index, action.option): _planned(action) for action in one.planned}
    for choice in one.choices:
        for option, drop in choice.passed_over().items():
            found[(choice.index, option)] = _dropped(choice, option, drop)
    return [found[place] for place in sorted(found)]


def _planned(action: Planned) -> CandidateAction:
    return CandidateAction(
        index=action.index,
        option=action.option,
        channel=action.spec.channel,
        stage="chosen",
        reason="chosen",
        action_id=str(action.action_id),
        due_at=rfc3339(action.due_at),
        waits_for=action.waits_for,
    )


def _dropped(choice: Choice, option: int, drop: Drop) -> CandidateAction:
    return CandidateAction(
        index=choice.index,
        option=option,
        channel=choice.specs[option].channel,
        stage=drop.stage,
        reason=drop.reason,
        detail=drop.detail(),
    )
