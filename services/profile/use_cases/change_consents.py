"""Record what a customer allows or refuses, and tell everybody in the same transaction."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.absorb import Rules
from services.profile.domain.assess import assess, catch_up, note_due
from services.profile.domain.consent import MAX_CONSENTS, ConsentChange, apply_changes
from services.profile.domain.definitions import NO_LOOK, Look
from services.profile.domain.profile import StoredProfile
from services.profile.domain.telling import tell, tell_memberships
from services.profile.domain.working_profile import WorkingProfile
from services.profile.storage import deadlines, profiles
from services.profile.use_cases.naming import change_id
from services.profile.use_cases.read_profile import absent
from shared.contracts.times import rfc3339
from shared.contracts.topics import Topics
from shared.errors import Infrastructure, PreconditionFailed, Problem, Unprocessable
from shared.kafka.messages import OutboxBuffer

TRIES = 3


class ConsentCause(msgspec.Struct, gc=False, kw_only=True):
    """Why an update was sent: consents changed, by whom and to what."""

    kind: str = "consent_changed"
    id: str
    at: str
    actor: str
    consents: list[ConsentChange]


async def change_consents(
    tx: AsyncConnection,
    profile_id: str,
    changes: Sequence[ConsentChange],
    *,
    at: datetime,
    actor: str,
    topics: Topics,
    messages: OutboxBuffer,
    rules: Rules,
    look: Look = NO_LOOK,
    expected_version: int | None = None,
) -> StoredProfile:
    """Record consents on the active profile that the id stands for, and return it.

    The update message is added to `messages`; the caller appends them to the outbox in the same
    transaction. Changes that say nothing new are no change: no message, the same version.
    Raises NotFound, PreconditionFailed when `expected_version` is not the present one, and
    Unprocessable when the profile would hold too many consents.
    """
    profile = WorkingProfile(await lock_active(tx, profile_id), rules.traits)
    if expected_version is not None and expected_version != profile.seq:
        raise PreconditionFailed(f"the profile is at version {profile.seq} by now")
    stamp = rfc3339(at)
    try:
        news = apply_changes(profile.state.consents, changes, stamp)
    except ValueError as error:
        rule = Problem("consents", "too_many", str(error))
        raise Unprocessable(f"at most {MAX_CONSENTS} consents", [rule]) from None
    if news:
        profile.facts_stored = False
        memberships = catch_up(profile, look, at=stamp)
        memberships += assess(profile, look, look.definitions.by_consent, at=stamp)
        cause = ConsentCause(
            id=change_id(profile.id, profile.seq + 1), at=stamp, actor=actor, consents=news
        )
        encoded = msgspec.json.encode(cause, order="deterministic")
        told = [tell(profile, encoded, rules.identity, look=look)]
        told += tell_memberships(
            profile, memberships, at=stamp, look=look, rules=rules.identity, name=change_id
        )
        note_due(profile, look)
        for id_, message in told:
            messages.add(topics.profile_updates, id_.encode(), message)
        await profiles.write(tx, [profile])
        await deadlines.write(tx, [profile])
    return profile.stored()


async def lock_active(tx: AsyncConnection, profile_id: str) -> StoredProfile:
    """Lock the active profile that an id stands for. Raises NotFound, or Gone when it was erased.

    Should it be merged just now, nobody else waits for its old row.
    """
    asked = profile_id
    for _ in range(TRIES):
        now = await profiles.current(tx, [asked])
        if not now:
            raise await absent(tx, profile_id)
        asked = next(iter(now.values()))
        stored = await profiles.read(tx, asked, for_update=True)
        if stored is not None and stored.status == "active":
            return stored
    raise Infrastructure("postgres", f"profile {profile_id} keeps being merged")
