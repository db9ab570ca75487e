"""Telling a change: it takes the profile's next number and becomes one message."""

from collections.abc import Callable, Sequence

import msgspec

from services.profile.domain.assess import Change
from services.profile.domain.definitions import NO_LOOK, Look
from services.profile.domain.identity import IdentityRules
from services.profile.domain.snapshot import Link, joined, rest_of_update, update
from services.profile.domain.working_profile import WorkingProfile

Told = tuple[str, bytes]
"""A message on `profile.updates` and the id of the profile that it is about."""

_encode = msgspec.json.Encoder(order="deterministic").encode


class MembershipCause(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """Why an update was sent: a membership, the persona, traits or groups changed. `at` is when.
    `household` is the one now, `before` the one it had; `facts` are names.

    `traits` are names, computed ones `computed.<name>`; `changed` has their values before, null for
    none. `backfill`: by a definition or by history, not because of something that just
    happened.
    `touchpoint_id` is the touchpoint that made the difference, if it was one.
    """

    kind: str
    id: str
    at: str
    segment: str | None = None
    persona: str | None = None
    before: str | None = None
    reason: str | None = None
    traits: list[str] = []
    changed: dict[str, msgspec.Raw] = {}
    household: str | None = None
    account: str | None = None
    linked: bool | None = None
    facts: tuple[str, ...] = ()
    touchpoint_id: str | None = None
    backfill: bool = False


def tell(
    profile: WorkingProfile,
    cause: bytes,
    rules: IdentityRules,
    link: Link | None = None,
    *,
    look: Look = NO_LOOK,
    changed: bytes = b"",
) -> Told:
    """The message for a change that was just made; the profile is one number further. `changed`
    is the part that tells which traits a touchpoint changed."""
    profile.seq += 1
    return profile.id, update(profile, cause, rules, link=link, look=look, changed=changed)


def tell_memberships(
    profile: WorkingProfile,
    changes: Sequence[Change],
    *,
    at: str,
    look: Look,
    rules: IdentityRules,
    name: Callable[[str, int], str],
    touchpoint_id: str | None = None,
    backfill: bool = False,
) -> list[Told]:
    """One message for each membership or persona that changed, in their order; all of them have
    the same profile in them."""
    if not changes:
        return []
    messages, rest = [], b"," + rest_of_update(profile, rules, look)
    for change in changes:
        cause = MembershipCause(
            kind=change.kind,
            id=name(profile.id, profile.seq + 1),
            at=at,
            segment=change.segment,
            persona=change.persona,
            before=change.before,
            reason=change.reason,
            traits=sorted(change.traits),
            changed={name: msgspec.Raw(value) for name, value in change.traits.items()},
            household=change.household,
            account=change.account,
            linked=change.linked,
            facts=change.facts,
            touchpoint_id=touchpoint_id,
            backfill=backfill,
        )
        profile.seq += 1
        messages.append((profile.id, joined(_encode(cause), rest, profile.seq)))
    return messages
