"""Which traits a touchpoint changed, told with its own update: their names and values before.

Only what it speaks of, and computed traits that count it, can change by a touchpoint. The first
one of a profile changes nothing: there was nothing before.
"""

from collections.abc import Mapping
from typing import NamedTuple

from services.profile.domain.definitions import Definitions
from services.profile.domain.derive import COMPUTED
from services.profile.domain.snapshot import encoded_name
from services.profile.domain.survivorship import REMOVED
from services.profile.domain.working_profile import WorkingProfile
from shared.contracts.touchpoint import TouchpointEnvelope

MAX_TOLD_BYTES = 50_000


class Before(NamedTuple):
    """Values (JSON) of traits that a touchpoint may change, before it does."""

    traits: Mapping[str, bytes]
    computed: Mapping[str, bytes] | None


NOTHING = Before({}, None)


def values_before(
    profile: WorkingProfile, touchpoint: TouchpointEnvelope, definitions: Definitions
) -> Before:
    """What the touchpoint may change; to be asked before anything happens to the profile."""
    if not profile.seq:
        return NOTHING
    counts = bool(definitions.computed) and touchpoint.type in definitions.by_type
    if not touchpoint.traits and not counts:
        return NOTHING
    known = profile.survivors() if touchpoint.traits else {}
    return Before(
        {name: known.get(name, REMOVED) for name in touchpoint.traits},
        dict(profile.standing.computed) if counts else None,
    )


def changed_since(profile: WorkingProfile, before: Before) -> bytes:
    """The part of the update that tells what changed; empty where nothing did."""
    if before is NOTHING:
        return b""
    told: dict[str, bytes] = {}
    if before.traits:
        known = profile.survivors()
        told = {
            name: value
            for name, value in before.traits.items()
            if known.get(name, REMOVED) != value
        }
    if before.computed is not None:
        now = profile.standing.computed
        for name in before.computed.keys() | now.keys():
            value = before.computed.get(name, REMOVED)
            if now.get(name, REMOVED) != value:
                told[COMPUTED + name] = value
    if not told:
        return b""
    parts = b",".join(encoded_name(name) + told[name] for name in sorted(told))
    return b',"changed":{%b}' % parts if len(parts) <= MAX_TOLD_BYTES else b""
