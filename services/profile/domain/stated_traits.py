"""What a touchpoint says of traits: kept on its anchor, and which nodes that can concern."""

from collections.abc import Set
from typing import NamedTuple

from services.profile.domain.assess import concerned, epoch_of
from services.profile.domain.definitions import Look
from services.profile.domain.derive import note_traits
from services.profile.domain.reported_zone import zone_of
from services.profile.domain.survivorship import (
    CONTEXT_TIMEZONE,
    RECTIFICATION,
    Saying,
    usable_values,
)
from services.profile.domain.working_profile import WorkingProfile
from shared.contracts.touchpoint import TouchpointEnvelope

_NOTHING: Set[str] = frozenset()


class Stated(NamedTuple):
    """The nodes that what was said can concern, and how many traits could not be kept."""

    mask: int
    dropped: int


def hang_traits(
    profile: WorkingProfile,
    anchor: str,
    touchpoint: TouchpointEnvelope,
    look: Look,
    *,
    is_new: bool,
) -> Stated:
    """Hang what a touchpoint says of traits on its anchor. `is_new`: by this very batch, so no
    node was ever decided about it."""
    values = {} if touchpoint.source == RECTIFICATION else usable_values(touchpoint.traits)
    dropped = len(touchpoint.traits) - len(values)
    if b'"timezone"' in bytes(touchpoint.context):
        zone = zone_of(touchpoint.context)
        if zone is not None:
            values[CONTEXT_TIMEZONE] = zone
    if not values:
        return Stated(0, dropped)
    definitions = look.definitions
    source = touchpoint.source
    verified = source in profile.policy.verified_sources
    said = Saying(source, touchpoint.occurred_at, touchpoint.id, verified, values)
    asked = definitions.by_trait.keys() & values.keys() if definitions.by_trait else _NOTHING
    if asked and not is_new:
        asked = profile.traits.changed_by(said, asked)
    profile.observe(anchor, said)
    declared = definitions.declared and definitions.declared.keys() & values.keys()
    if not declared:
        return Stated(concerned(asked, definitions), dropped)
    epoch = epoch_of(profile, definitions)
    mask = note_traits(profile, anchor, said, sorted(declared), look, epoch)
    return Stated(mask | concerned(asked - declared, definitions), dropped)
