"""The updates that say what a profile became: the causes of memberships and personas."""

from collections.abc import Callable, Iterable

import msgspec

from services.profile.domain.assess import Change
from services.profile.domain.definitions import Look
from services.profile.domain.identity import IdentityRules
from services.profile.domain.snapshot import update
from services.profile.domain.working_profile import WorkingProfile

_encode = msgspec.json.Encoder(order="deterministic").encode


class MembershipCause(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """Why an update was sent: a membership or the persona changed. `at` is when it did.

    `backfill`: by a definition or by history, not because of something that just happened.
    `touchpoint_id` is the touchpoint that made the difference, if it was one.
    """

    kind: str
    id: str
    at: str
    segment: str | None = None
    persona: str | None = None
    before: str | None = None
    reason: str | None = None
    touchpoint_id: str | None = None
    backfill: bool = False


def tell(
    profile: WorkingProfile,
    changes: Iterable[Change],
    *,
    at: str,
    look: Look,
    rules: IdentityRules,
    name: Callable[[str, int], str],
    touchpoint_id: str | None = None,
    backfill: bool = False,
) -> list[tuple[str, bytes]]:
    """One update for each change, in their order: (profile id, message). Takes their numbers."""
    messages = []
    for change in changes:
        profile.seq += 1
        cause = MembershipCause(
            kind=change.kind,
            id=name(profile.id, profile.seq),
            at=at,
            segment=change.segment,
            persona=change.persona,
            before=change.before,
            reason=change.reason,
            touchpoint_id=touchpoint_id,
            backfill=backfill,
        )
        messages.append((profile.id, update(profile, _encode(cause), rules, look=look)))
    return messages
