"""The arbitration window: candidates of several touchpoints wait for each other, then compete.

What waits is asked nothing when it comes but whether it is stale; all gates are asked at the end of
the window, of the person as known then. A profile's window ends when the first of its candidates
has waited long enough, for all of them. What a later touchpoint ended is gone at once.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from services.orchestrator.domain.decide import Considered, Question, judge
from services.orchestrator.domain.effects import Effects
from services.orchestrator.domain.gates import ActionIds, Drop, Situation, stale
from services.orchestrator.domain.history import Held, History
from services.orchestrator.domain.live_rule import LiveRule
from services.orchestrator.domain.timer import Timer
from services.orchestrator.domain.trigger_index import RuleSet
from shared.contracts.times import rfc3339

ARBITRATE = "arbitrate"
"""Timer of a profile whose candidates wait: they are judged together."""
MAX_HELD = 100
"""So many touchpoints of a profile may wait at a time."""


def consider(
    candidates: Sequence[LiveRule],
    situation: Situation,
    ruleset: RuleSet,
    beside: Sequence[Question] = (),
) -> list[Considered]:
    """Every candidate of a touchpoint with its fate: decided now, or held, in reading order. What
    runs of journeys want is asked `beside` those that are decided now, and never held."""
    now: list[LiveRule] = []
    later: list[LiveRule] = []
    for live in candidates:
        waits = bool(ruleset.window_of(live)) and stale(live, situation) is None
        (later if waits else now).append(live)
    asked = [Question(now, situation), *beside] if now else beside
    considered = judge(asked, ruleset) if asked else []
    if later:
        drop = _held(later, situation, ruleset)
        later.sort(key=lambda live: live.key)
        considered += [Considered(live, situation, drop=drop) for live in later]
    return considered


def hold(considered: Sequence[Considered], ruleset: RuleSet, effects: Effects) -> None:
    """Keep the candidates of a touchpoint that are to wait, and see that the window ends."""
    waiting = [one for one in considered if one.drop is not None and one.drop.reason == "held"]
    if not waiting:
        return
    situation = waiting[0].situation
    moment, history = situation.moment, situation.history
    touchpoint = moment.cause.id or ""
    held = Held(
        touchpoint_id=touchpoint,
        of=moment.of,
        held_at=situation.at,
        ends_at=_end([one.live for one in waiting], situation, ruleset),
        occurred_at=moment.occurred or situation.at,
        cause=moment.kept_cause,
        rules=tuple(one.live.key for one in waiting),
    )
    if all(held.ends_at < other.ends_at for other in history.held.values()):
        effects.timers.append(end_of(held, moment.profile_id))
    history.held[touchpoint] = held
    effects.held[(moment.profile_id, touchpoint)] = held


def end_of(held: Held, profile_id: str) -> Timer:
    """The timer at the end of a window that a touchpoint opened."""
    return Timer(held.ends_at, ARBITRATE, profile_id, UUID(held.touchpoint_id), 0)


def first_end(history: History, profile_id: str) -> Timer:
    """The timer at the end of the first window of those that wait; there has to be one."""
    ends = min(history.held.values(), key=lambda one: (one.ends_at, one.touchpoint_id))
    return end_of(ends, profile_id)


def let_go(
    situation: Situation,
    exits: Collection[str],
    ruleset: RuleSet,
    effects: Effects,
    action_ids: ActionIds,
) -> list[tuple[UUID, str]]:
    """Drop the held candidates whose reason the touchpoint ended; the ids of what they would have
    done first, with the reasons."""
    gone: list[tuple[UUID, str]] = []
    history, moment = situation.history, situation.moment
    for held in sorted(history.held.values(), key=lambda one: one.touchpoint_id):
        kept = []
        for key in held.rules:
            live = ruleset.rules.get(key)
            reason = None if live is None else _exit(live, held, history, exits)
            if live is None or reason is None:
                kept.append(key)
            else:
                where = f" on {moment.cause.channel}"
                gone.append((action_ids(held.touchpoint_id)(key, 0, 0), f"exit: {reason}{where}"))
        if len(kept) < len(held.rules):
            _keep(held, tuple(kept), moment.profile_id, history, effects)
    return gone


def due(history: History, at: datetime) -> list[Held]:
    """All that waits, when the window of the first has ended; in the order in which it came."""
    if not any(held.ends_at <= at for held in history.held.values()):
        return []
    return sorted(history.held.values(), key=lambda one: (one.held_at, one.touchpoint_id))


def forget(history: History, held: Sequence[Held], profile_id: str, effects: Effects) -> None:
    """These wait no longer."""
    for one in held:
        del history.held[one.touchpoint_id]
        effects.held[(profile_id, one.touchpoint_id)] = None


def _held(later: Sequence[LiveRule], situation: Situation, ruleset: RuleSet) -> Drop:
    if len(situation.history.held) >= MAX_HELD:
        most = f"at most {MAX_HELD} touchpoints wait for one decision"
        return Drop("arbitration", "window_full", most, MAX_HELD, len(situation.history.held))
    ends = _end(later, situation, ruleset)
    until = min([ends, *(held.ends_at for held in situation.history.held.values())])
    words = f"until {rfc3339(until)} for others to compete with"
    return Drop("arbitration", "held", words, rfc3339(until), rfc3339(situation.at))


def _end(later: Sequence[LiveRule], situation: Situation, ruleset: RuleSet) -> datetime:
    window: timedelta = min(ruleset.window_of(live) for live in later)
    return situation.at + window


def _exit(live: LiveRule, held: Held, history: History, exits: Collection[str]) -> str | None:
    for event in live.exit_events:
        mark = history.exits.get(event.criterion)
        if event.criterion in exits and mark is not None and mark > held.occurred_at:
            return event.event
    return None


def _keep(
    held: Held, rules: tuple[str, ...], profile_id: str, history: History, effects: Effects
) -> None:
    if not rules:
        forget(history, [held], profile_id, effects)
        return
    less = replace(held, rules=rules)
    history.held[held.touchpoint_id] = less
    effects.held[(profile_id, held.touchpoint_id)] = less
