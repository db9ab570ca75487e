"""Decides for one who asks: candidates, what is known of the past, the choice, and its record."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.orchestrator.domain.answered import Known, why
from services.orchestrator.domain.ask import (
    Ask,
    Person,
    asked_on,
    cause_of,
    choose,
    moment_of,
    place_on,
)
from services.orchestrator.domain.decide import Considered, decide
from services.orchestrator.domain.effects import Effects, record
from services.orchestrator.domain.enact import Shown, enact
from services.orchestrator.domain.expose import expose
from services.orchestrator.domain.gates import Situation
from services.orchestrator.domain.history import History
from services.orchestrator.domain.live_rule import LiveRule
from services.orchestrator.domain.record import decision_record
from services.orchestrator.domain.slot import Kept, Said, life_of, other_channel
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.use_cases.naming import action_ids
from services.orchestrator.use_cases.recall import Asked, recall
from shared import ids
from shared.contracts.times import rfc3339
from shared.postgres.transaction import Tx


@dataclass(frozen=True, slots=True, eq=False)
class Decided:
    """What was decided: every candidate, what is kept from now on, and the history after it."""

    considered: list[Considered]
    kept: Kept
    history: History
    outcome: str


async def decide_ask(
    tx: Tx,
    ask: Ask,
    person: Person,
    *,
    stands_for: str,
    owner: str,
    before: Kept | None,
    in_flight: bool,
    known: Known,
    ruleset: RuleSet,
    effects: Effects,
    at: datetime,
) -> Decided:
    """Choose what is said, and put everything it causes into `effects`; nothing is written yet.

    Things are done in the name of `stands_for`, which is locked; the answer is kept for `owner`.
    `before` is the answer that was kept until now: a rule that was chosen, and had no action on the
    channel that asked, goes first on one where it has.
    """
    decision_id = ids.time_ordered_id()
    moment = moment_of(person, stands_for, cause_of(ask, decision_id, at), at)
    rules = [live for live in ruleset.candidates_of_ask(moment.facts) if live.rule.is_valid_at(at)]
    places = {live.key: place_on(live.rule, ask.channel) or 0 for live in rules}
    named = action_ids(str(decision_id))

    def action_id(rule: str, _index: int, _option: int) -> UUID:
        return named(rule, places[rule], 0)

    candidates = [asked_on(live, ask.channel) for live in rules]
    past = await recall(
        tx,
        [Asked(moment, candidates, action_id)],
        in_flight={stands_for} if in_flight else set(),
        merged=False,
        ruleset=ruleset,
        at=at,
        again=False,
    )
    situation = Situation(moment, past.get(stands_for) or History(), at, action_id)
    considered = _considered(candidates, before, situation, ruleset)
    best = choose(considered, ask.channel, at)
    decision = decision_record(
        decision_id=decision_id,
        profile_id=stands_for,
        profile_version=person.version,
        touchpoint_id=moment.cause.touchpoint,
        at=at,
        considered=considered,
        retracts=[],
        ruleset=ruleset,
        zone=ruleset.joint.zone_for_record(moment.profile),
    )
    record(effects, decision, decision_id, at)
    expose(effects, considered)
    if best is not None and best.planned:
        _show(best, situation, decision_id, effects, known=known)
    kept = _kept(best, considered, situation, ask, owner, decision_id, ruleset, known=known)
    return Decided(considered, kept, situation.history, decision.outcome)


def _show(
    best: Considered, situation: Situation, decision_id: UUID, effects: Effects, *, known: Known
) -> None:
    shown = Shown.KNOWN if known == "known" else Shown.STRANGER
    moment, at = situation.moment, situation.at
    enact(
        effects, situation.history, best,
        moment=moment, decision_id=decision_id, at=at, shown=shown,
    )  # fmt: skip


def _considered(
    candidates: list[LiveRule], before: Kept | None, situation: Situation, ruleset: RuleSet
) -> list[Considered]:
    """The rule that was chosen for another channel first, alone; then all of them."""
    waiting = before is not None and before.action_id is None and before.expires_at > situation.at
    if before is not None and waiting:
        first = [live for live in candidates if live.key == before.rule]
        considered = decide(first, situation, ruleset) if first else []
        if any(one.planned for one in considered):
            return considered
    return decide(candidates, situation, ruleset) if candidates else []


def _kept(
    best: Considered | None,
    considered: list[Considered],
    situation: Situation,
    ask: Ask,
    owner: str,
    decision_id: UUID,
    ruleset: RuleSet,
    *,
    known: Known,
) -> Kept:
    planned = best.planned[0] if best is not None and best.planned else None
    other = None
    if best is not None and planned is None:
        other = other_channel(ruleset.rules[best.live.key], ask.channel)
    said = Said(
        cause=situation.moment.cause,
        channel=ask.channel,
        content={} if planned is None else planned.content,
        expires_at=None if planned is None else rfc3339(planned.expires_at),
        why=why(best, considered, other),
    )
    return Kept(
        profile_id=owner,
        decision_id=decision_id,
        action_id=None if planned is None else planned.action_id,
        rule=None if best is None else best.live.key,
        version=situation.moment.seq,
        epoch=ruleset.epoch,
        at=situation.at,
        expires_at=situation.at if known == "unavailable" else life_of(best, situation.at),
        said=said,
    )
