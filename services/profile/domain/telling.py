"""Telling a change: it takes the profile's next number and becomes one message."""

from services.profile.domain.identity import IdentityRules
from services.profile.domain.snapshot import Link, update
from services.profile.domain.working_profile import WorkingProfile

Told = tuple[str, bytes]
"""A message on `profile.updates` and the id of the profile that it is about."""


def tell(
    profile: WorkingProfile, cause: bytes, rules: IdentityRules, link: Link | None = None
) -> Told:
    """The message for a change that was just made; the profile is one number further."""
    profile.seq += 1
    return profile.id, update(profile, cause, rules, link=link)
