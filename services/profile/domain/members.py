"""What a fold does about memberships: before, with and after each touchpoint of a profile."""

from collections.abc import Callable, Sequence

from services.profile.domain.absorbed import Arrival
from services.profile.domain.assess import Change, catch_up, note_touchpoint
from services.profile.domain.belonging import link
from services.profile.domain.definitions import Look
from services.profile.domain.identity import IdentityRules
from services.profile.domain.instants import instant_in
from services.profile.domain.sums import ORDER_TYPES
from services.profile.domain.telling import tell_memberships
from services.profile.domain.working_profile import WorkingProfile
from shared.contracts.touchpoint import TouchpointEnvelope


class Members:
    """The memberships of one fold's profiles; what it tells goes to the fold's messages."""

    def __init__(
        self,
        look: Look,
        rules: IdentityRules,
        name: Callable[[str, int], str],
        messages: list[tuple[str, bytes]],
    ) -> None:
        self.created: set[str] = set()
        """Profiles that are new and were asked nothing yet."""
        self._look = look
        self._rules = rules
        self._name = name
        self._messages = messages
        self._looked_at: set[str] = set()

    def catch_up(self, profile: WorkingProfile, touchpoint: TouchpointEnvelope) -> None:
        """Decide by the definitions of today, once in a batch, before anything happens to it."""
        if profile.id in self._looked_at:
            return
        self._looked_at.add(profile.id)
        if profile.id not in self.created:
            changes = catch_up(profile, self._look, at=touchpoint.received_at)
            self.tell(profile, changes, touchpoint, backfill=True)

    def note(self, profile: WorkingProfile, anchor: str, touchpoint: TouchpointEnvelope) -> int:
        """Count the touchpoint in its streams; which nodes may be decided otherwise now."""
        definitions = self._look.definitions
        if profile.id in self.created:
            self.created.discard(profile.id)
            mask = definitions.everyone
        else:
            mask = definitions.always
            if definitions.by_touchpoints and profile.total is not None:
                mask |= definitions.by_touchpoints.get(profile.total.touchpoints, 0)
            if touchpoint.type in ORDER_TYPES:
                mask |= definitions.by_order
        if touchpoint.type in definitions.by_type:
            at = instant_in(touchpoint.occurred_at)
            mask |= note_touchpoint(profile, anchor, touchpoint, at, self._look)
        return mask

    def link(
        self, profile: WorkingProfile, anchor: str, arrival: Arrival
    ) -> tuple[list[Change], int]:
        """Link it to the groups that a touchpoint names: what changed by that, and which nodes may
        be decided otherwise now."""
        return link(
            profile,
            anchor,
            arrival.touchpoint,
            arrival.usable.links,
            rules=self._rules,
            definitions=self._look.definitions,
        )

    def tell(
        self,
        profile: WorkingProfile,
        changes: Sequence[Change],
        touchpoint: TouchpointEnvelope,
        *,
        backfill: bool = False,
    ) -> None:
        """Say what changed, as updates that follow the touchpoint's own."""
        self._messages += tell_memberships(
            profile,
            changes,
            at=touchpoint.received_at,
            look=self._look,
            rules=self._rules,
            name=self._name,
            touchpoint_id=None if backfill else touchpoint.id,
            backfill=backfill or touchpoint.historical,
        )
