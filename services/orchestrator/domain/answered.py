"""What somebody who asks is told: the action or none, why in words, and where it is explained."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from services.orchestrator.domain.decide import Considered
from services.orchestrator.domain.slot import Again, Kept
from shared.contracts.times import rfc3339

MAX_REASONS = 5
"""So many rules that were not chosen are named; the decision has them all."""

Known = Literal["known", "unknown", "unavailable"]


class AnsweredAction(msgspec.Struct, frozen=True, gc=False):
    """What to show on the channel that asked, until `expires_at`."""

    action_id: str
    rule: str
    channel: str
    content: dict[str, Any]
    expires_at: str | None


class Answer(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The answer for a slot. `kept`: it was given before; `valid_until`: so long whoever asks for
    the slot is told the same, unless something changes it; `person`: whether the profile was known,
    or could not be read in time."""

    decision_id: str
    action: AnsweredAction | None
    reasons: list[str]
    slot: str
    kept: bool
    valid_until: str
    person: Known


_ABOUT: dict[Known, list[str]] = {
    "known": [],
    "unknown": ["unknown_profile: nobody is known by this identifier"],
    "unavailable": [
        "profile_unavailable: the profile could not be read in time, so nothing is given that a "
        "consent or a limit could forbid"
    ],
}


def given_again(kept: Kept, again: Again, *, channel: str, slot: str, person: Known) -> Answer:
    """The answer that was kept, for a channel that asks now."""
    action = None
    if again.content is not None and kept.rule is not None:
        action = AnsweredAction(
            str(kept.action_id), kept.rule, channel, again.content, kept.said.expires_at
        )
    return Answer(
        decision_id=str(kept.decision_id),
        action=action,
        reasons=[*_ABOUT[person], again.why],
        slot=slot,
        kept=True,
        valid_until=rfc3339(kept.expires_at),
        person=person,
    )


def decided(
    kept: Kept, considered: Sequence[Considered], *, channel: str, slot: str, person: Known
) -> Answer:
    """The answer that was just decided, and is kept from now on."""
    action = None
    if kept.action_id is not None and kept.rule is not None:
        action = AnsweredAction(
            str(kept.action_id), kept.rule, channel, kept.said.content, kept.said.expires_at
        )
    return Answer(
        decision_id=str(kept.decision_id),
        action=action,
        reasons=[*_ABOUT[person], *([kept.said.why] if kept.said.why else []),
                 *why_not(considered)],
        slot=slot,
        kept=False,
        valid_until=rfc3339(kept.expires_at),
        person=person,
    )  # fmt: skip


def why(best: Considered | None, considered: Sequence[Considered], other: str | None) -> str:
    """Why this is the answer; `other`: that what was chosen has no action on the channel."""
    if other is not None:
        return other
    if best is not None:
        several = f"the best of {len(considered)} rules" if len(considered) > 1 else "the only rule"
        return f"chosen: {best.live.key} is {several} that may answer"
    if considered:
        return "nothing: no rule that may answer fits now"
    return "nothing: no rule answers here"


def why_not(considered: Sequence[Considered]) -> list[str]:
    """For each rule that was not chosen, where it stopped."""
    fallen = [(one.live.key, one.drop) for one in considered if one.drop is not None]
    return [
        f"{drop.reason}: {key} needs {drop.condition}"
        for key, drop in fallen[:MAX_REASONS]
        if drop.reason != "other_channel"
    ]
