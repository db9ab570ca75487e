"""Decides what a profile is a member of, and which persona it has: again, where it may differ.

Everything that changes a profile notes which nodes it concerns and asks here. Time is an argument:
the same profile, definitions and instant give the same answer, whoever asks.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, get_args

from services.profile.domain.computing import until
from services.profile.domain.consent import next_expiry
from services.profile.domain.definitions import Computed, Definitions, Look, Node
from services.profile.domain.derive import Derived, derive_all, derive_computed
from services.profile.domain.facts import facts_of
from services.profile.domain.instants import instant_in
from services.profile.domain.standing import AT_ONCE
from services.profile.domain.streams import Happening, count_in_stream
from services.profile.domain.working_profile import WorkingProfile
from shared.conditions.facts import Facts
from shared.conditions.windows import next_change
from shared.contracts.touchpoint import TouchpointEnvelope

Kind = Literal[
    "trait_changed",
    "household_changed",
    "account_changed",
    "segment_left",
    "segment_entered",
    "persona_changed",
]
_ORDER: tuple[Kind, ...] = get_args(Kind)


class Change(NamedTuple):
    """A membership that began or ended, another persona, other values of traits, or other groups.

    `household` and `account` are ids of groups; `linked` says whether the profile belongs to that
    account now. `facts` are those of a group it belonged to already that are others now. `traits`
    are named with what they were before (JSON).
    """

    kind: Kind
    segment: str | None = None
    persona: str | None = None
    before: str | None = None
    reason: str | None = None
    traits: Mapping[str, bytes] = {}
    household: str | None = None
    account: str | None = None
    linked: bool | None = None
    facts: tuple[str, ...] = ()


def epoch_of(profile: WorkingProfile, definitions: Definitions) -> int:
    """The epoch that the profile was last looked at by, and of whose streams it has the history."""
    own = profile.standing.epoch
    return own if profile.standing.due == AT_ONCE else max(own, definitions.floor)


def note_touchpoint(
    profile: WorkingProfile,
    anchor: str,
    touchpoint: TouchpointEnvelope,
    at: int,
    look: Look,
) -> int:
    """Count a touchpoint (of instant `at`, in milliseconds) in its streams, and find anew what they
    change; which nodes that concerns. A stream that the profile still lacks the history of is left
    to who reads that."""
    definitions = look.definitions
    streams = definitions.by_type.get(touchpoint.type)
    if streams is None:
        return 0
    mask, epoch, happening = 0, epoch_of(profile, definitions), Happening(touchpoint)
    changed: list[Computed] = []
    for stream in streams:
        if stream.since > epoch or not count_in_stream(profile, anchor, stream, happening, at):
            continue
        mask |= definitions.by_stream.get(stream.key, 0)
        if definitions.computed:
            changed += definitions.computed_by_stream.get(stream.key, ())
    return mask | derive_computed(profile, changed, look).mask if changed else mask


def concerned(names: Iterable[str], definitions: Definitions) -> int:
    """The nodes that a change of these traits can concern."""
    mask = 0
    for name in names:
        mask |= definitions.by_trait.get(name, 0)
    return mask


def assess(profile: WorkingProfile, look: Look, mask: int, *, at: str) -> list[Change]:
    """Decide the nodes of the mask again, and those that follow from them; what changed.

    `at` (RFC 3339) is noted as the time of entry.
    """
    definitions, now = look
    ready = definitions.ready(epoch_of(profile, definitions))
    mask &= ready
    if not mask:
        return []
    standing = profile.standing
    facts = facts_of(profile, definitions, now)
    members = dict(standing.segments)
    facts.segments = members.keys()
    changes: list[Change] = []
    while mask:
        lowest = mask & -mask
        mask ^= lowest
        node = definitions.nodes[lowest.bit_length() - 1]
        change = _persona(node, facts) if node.holds is None else _member(node, facts, members, at)
        if change is not None:
            changes.append(change)
            mask |= node.dependents & ready
    if changes:
        standing.segments = dict(sorted(members.items()))
        for change in changes:
            if change.kind == "persona_changed":
                standing.persona, standing.reason = change.persona, change.reason
        profile.forget_standing()
    return sorted(changes, key=_place) if len(changes) > 1 else changes


def _place(change: Change) -> tuple[int, str]:
    return _ORDER.index(change.kind), change.segment or ""


def _member(node: Node, facts: Facts, members: dict[str, str], at: str) -> Change | None:
    assert node.holds is not None  # noqa: S101 - the caller looked
    is_member = node.holds(facts)
    if is_member is (node.key in members):
        return None
    if is_member:
        members[node.key] = at
        return Change("segment_entered", node.key)
    del members[node.key]
    return Change("segment_left", node.key)


def _persona(node: Node, facts: Facts) -> Change | None:
    before, found = facts.persona, None
    for choice in node.choices:
        if choice.holds(facts):
            found = choice
            break
    key = None if found is None else found.key
    if key == before:
        return None
    facts.persona = key
    reason = None if found is None else found.reason
    return Change("persona_changed", persona=key, before=before, reason=reason)


def catch_up(profile: WorkingProfile, look: Look, *, at: str) -> list[Change]:
    """Look at a profile by newer definitions than it was last looked at by; what changed.

    What needs a history that the profile lacks stays as it is, until `history` brought it.
    """
    definitions = look.definitions
    epoch = epoch_of(profile, definitions)
    if epoch >= definitions.epoch:
        profile.standing.epoch = definitions.epoch
        return []
    derived = derive_all(profile, look, epoch, newer_than=epoch)
    changes = _of_traits(derived) + _leave_what_is_gone(profile, definitions)
    changes += assess(profile, look, definitions.since(epoch) | derived.mask, at=at)
    if epoch >= definitions.newest_stream:
        profile.standing.epoch = definitions.epoch
    profile.time_may_tell = True
    return changes


def look_at_all(profile: WorkingProfile, look: Look, *, at: str) -> list[Change]:
    """Decide everything again, for a profile whose tallies are complete; what changed."""
    profile.standing.epoch, profile.standing.due = look.definitions.epoch, None
    profile.time_may_tell = True
    derived = derive_all(profile, look, look.definitions.epoch)
    changes = _of_traits(derived) + _leave_what_is_gone(profile, look.definitions)
    return changes + assess(profile, look, look.definitions.everyone, at=at)


def _of_traits(derived: Derived) -> list[Change]:
    return [Change("trait_changed", traits=derived.before)] if derived.before else []


def _leave_what_is_gone(profile: WorkingProfile, definitions: Definitions) -> list[Change]:
    standing = profile.standing
    gone = sorted(standing.segments.keys() - definitions.keys)
    if not gone:
        return []
    standing.segments = {
        key: at for key, at in standing.segments.items() if key in definitions.keys
    }
    profile.forget_standing()
    return [Change("segment_left", key) for key in gone]


def note_due(profile: WorkingProfile, look: Look) -> None:
    """Note the first instant at which time alone can change the answer, where it may have moved.

    One that has come stays: only who looks at everything (`look_at_all`) finds what it changed.
    """
    if not profile.time_may_tell:
        return
    standing = profile.standing
    if profile.status != "active":
        standing.due = None
    elif standing.due is None or standing.due > look.now:
        standing.due = _due_at(profile, *look)


def _due_at(profile: WorkingProfile, definitions: Definitions, now: int) -> int | None:
    expiry = next_expiry(profile.state.consents)
    first: int | None = None if expiry is None else instant_in(expiry)
    for use in definitions.uses:
        tally = profile.tallies.of(use.stream, definitions.streams[use.stream].keep)
        if tally is not None:
            found = next_change(tally.recent, use.within, use.op, use.bound, now)
            if found is not None and (first is None or found < first):
                first = found
    for trait, stream, _ in definitions.computed:
        found = until(trait, profile.tallies.of(stream, definitions.streams[stream].keep), now)
        if found is not None and (first is None or found < first):
            first = found
    return first
