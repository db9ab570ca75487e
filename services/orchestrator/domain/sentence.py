"""A decision in one plain sentence, for people who know customers and not programs.

It names rules, channels, policies and figures, and conditions in words; never a value that was seen
in a profile, so that everybody may read it. Those are in the details.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.orchestrator.domain.decide import Considered
from services.orchestrator.domain.gates import Drop
from services.orchestrator.domain.options import NOT_ASKED, NOT_NEEDED
from services.orchestrator.domain.planned import Planned
from services.orchestrator.domain.zone import Zone
from shared.contracts.times import rfc3339

MAX_IN_SENTENCE = 5
MAX_WORDS = 300
BY_CLOCK = frozenset({"cap", "quiet_hours"})

_STAGES = {
    "stale": "the event came too late",
    "re_entry": "it may not act again now",
    "channel": "the channel cannot be used",
    "consent": "the person has not agreed",
    "suppression": "the person is left in peace for a while",
    "eligibility": "it is not for this person",
    "applicability": "there is no reason for it now",
    "suitability": "it would not suit this person now",
    "holdout": "the person is in the group that gets nothing, to compare with",
    "experiment": "the person is in another group of a comparison",
    "cap": "the person was contacted often enough",
    "quiet_hours": "these are quiet hours",
    "capacity": "not enough is left of what it takes",
    "floor": "doing nothing is better",
    "arbitration": "something else is better",
}


def sentence_of(
    considered: Sequence[Considered],
    retracts: Sequence[tuple[UUID, str]],
    at: datetime,
    zone: Zone | None = None,
) -> str:
    """What was done and why, and why the best of the rest was not; `zone` is the person's where
    anything goes by their clock."""
    parts: list[str] = []
    for one in considered:
        if one.planned:
            what = " and ".join(_done(one, action, at) for action in one.planned)
            parts.append(f"{one.live.key} was chosen: {what}.")
    fallen = [(one.live.key, one.drop) for one in considered if one.drop is not None]
    for key, drop in fallen[:MAX_IN_SENTENCE]:
        verb = "waits" if drop.reason == "held" else "was not"
        parts.append(f"{key} {verb}: {why(drop)}.")
    if len(fallen) > MAX_IN_SENTENCE:
        parts.append(f"{len(fallen) - MAX_IN_SENTENCE} more were not.")
    if retracts:
        reasons = ", ".join(sorted({reason for _, reason in retracts})[:MAX_IN_SENTENCE])
        count = f"{len(retracts)} action{'' if len(retracts) == 1 else 's'}"
        parts.append(f"{count} taken back ({reasons}).")
    if zone is not None and zone.source == "default" and any(_by_clock(one) for one in considered):
        parts.append(f"The time zone is not known: {zone.name} was assumed.")
    return " ".join(parts)


def _by_clock(one: Considered) -> bool:
    """Whether the candidate came as far as the gates that go by the person's clock."""
    return bool(one.planned) or (one.drop is not None and one.drop.stage in BY_CLOCK)


def why(drop: Drop) -> str:
    """Why something was dropped, without what was seen in the profile."""
    words = drop.condition[:MAX_WORDS]
    match drop.reason:
        case "lower_priority":
            return f"needed {words}: that has {drop.expected:.2f}, this {drop.actual:.2f}"
        case "person_unavailable":
            return f"the profile could not be read in time (needed: {words})"
        case "below_price" | "held" | "no_capacity":
            return words
        case "below_floor":
            return f"{_STAGES[drop.stage]}: its score is {drop.actual:.2f}"
        case "cap":
            return f"{_STAGES[drop.stage]} ({words}; this would be number {drop.actual})"
        case _:
            return f"{_STAGES.get(drop.stage, drop.stage)} (needed: {words})"


def _done(one: Considered, action: Planned, at: datetime) -> str:
    when = "now" if action.due_at <= at else f"at {rfc3339(action.due_at)}"
    waits = "" if action.waits_for is None else f" (after {action.waits_for})"
    what = f"{action.spec.type} on {action.spec.channel} {when}{waits}"
    if not action.option:
        return what
    choice = next(choice for choice in one.choices if choice.index == action.index)
    asked = (option for option in choice.order if option in choice.dropped)
    reasons = [
        f"{choice.specs[option].channel}: {why(drop)}"
        for option in asked
        if (drop := choice.dropped[option]).reason not in (NOT_ASKED, NOT_NEEDED)
    ]
    return f"{what} instead of {'; '.join(reasons)}" if reasons else what
