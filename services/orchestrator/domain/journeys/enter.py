"""Whether somebody may enter a journey: the gates in their order, and the run that begins.

That the entry's trigger matches was found by the index of triggers before. The same cause always
makes a run with the same id, so that an entry that is processed again is seen to be known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.orchestrator.domain.drop import Drop
from services.orchestrator.domain.journeys.arrive import MAX_HOPS
from services.orchestrator.domain.journeys.live import LiveJourney, LiveVersion, Watched, key_of
from services.orchestrator.domain.run import Run, run_id
from shared.conditions.duration import duration_in_words
from shared.conditions.facts import Facts
from shared.contracts.times import rfc3339

MAX_RUNS = 50
"""So many runs of one journey a person may be in at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """What would let a person in. `cause` names it for ever (a touchpoint, a change, a jump); the
    update `seq` of the profile told it. `later` has, by the mark of an exit criterion, when the
    latest touchpoint happened that met it and was heard of before this one."""

    profile_id: str
    of: str
    seq: int
    cause: str
    facts: Facts
    occurred_at: datetime
    received_at: datetime | None = None
    historical: bool = False
    backfill: bool = False
    hops: int = 0
    later: Mapping[str, datetime] | None = None


def enter(
    journey: LiveJourney, entry: Entry, earlier: Sequence[Run], now: datetime
) -> Run | Drop | None:
    """The run that begins, to be given `Entered`; why it may not; None when it was begun already.

    `earlier` are the runs of the person in the journey, over or not.
    """
    version = journey.current
    if version is None:
        return Drop("re_entry", "not_live", "the journey lets people in", True, False)
    key = "" if version.entry_key is None else key_of(version.entry_key, entry.facts)
    id_ = run_id(journey.key, entry.cause, key)
    if any(run.id == id_ for run in earlier):
        return None
    drop = _not_now(version, entry, key, now) or _again(version, key, earlier, now)
    if drop is not None:
        return drop
    own = version.journey
    return Run(
        id=id_,
        journey=journey.key,
        version=own.version,
        profile_id=entry.profile_id,
        home=entry.of,
        unit=entry.profile_id,
        key=key,
        entered_at=now,
        occurred_at=entry.occurred_at,
        ends_at=now + own.max_duration,
        goal_until=None if own.goal is None else now + own.goal.within,
        seqs={entry.of: entry.seq},
        hops=entry.hops,
    )


def _not_now(version: LiveVersion, entry: Entry, key: str, now: datetime) -> Drop | None:
    journey = version.journey
    trigger = journey.entry
    if not journey.is_valid_at(now):
        return Drop("stale", "not_valid", "the journey is in force", True, False)
    if (entry.historical or entry.backfill) and not (
        trigger.historical or trigger.include_existing
    ):
        return Drop("stale", "historical", "the event is not from a load of old ones", False, True)
    received = entry.received_at
    if received is not None and received - entry.occurred_at > trigger.max_age:
        most = duration_in_words(trigger.max_age)
        age = duration_in_words(received - entry.occurred_at)
        return Drop(
            "stale", "too_old", f"the event was received within {most} of happening", most, age
        )
    if entry.hops > MAX_HOPS:
        few = f"at most {MAX_HOPS} journeys led to one another"
        return Drop("re_entry", "too_many_hops", few, MAX_HOPS, entry.hops)
    return _exit_met(version, entry, key)


def _exit_met(version: LiveVersion, entry: Entry, key: str) -> Drop | None:
    """Whether what ends the run happened after what begins it, and was only heard of first."""
    marks = entry.later or {}
    for one in version.exits:
        if not isinstance(one, Watched):
            continue
        mark = marks.get(one.mark(key))
        if mark is not None and mark > entry.occurred_at:
            words = f"no later event where {one.words}"
            return Drop("applicability", "exit_met", words, None, rfc3339(mark))
    return None


def _again(version: LiveVersion, key: str, earlier: Sequence[Run], now: datetime) -> Drop | None:
    """Whether the person may enter once more under this key."""
    rule = version.journey.re_entry
    standing = [run for run in earlier if not run.is_over]
    if len(standing) >= MAX_RUNS:
        most = f"at most {MAX_RUNS} runs at once"
        return Drop("re_entry", "too_many_runs", most, MAX_RUNS, len(standing))
    same = [run for run in earlier if run.key == key]
    last = max((run.entered_at for run in same), default=None)
    if last is None:
        return None
    if rule.mode == "never":
        return Drop("re_entry", "already_entered", "one enters once", None, rfc3339(last))
    if rule.mode == "after_exit" and any(not run.is_over for run in same):
        return Drop("re_entry", "still_running", "the run before is over", True, False)
    if now - last < rule.cooldown:
        wait = f"{duration_in_words(rule.cooldown)} since the last entry"
        return Drop("re_entry", "in_cooldown", wait, rfc3339(last + rule.cooldown), rfc3339(now))
    return None
