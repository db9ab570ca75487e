"""Read one profile: by any id it ever had, by an identifier, its timeline and its merges."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.consent import next_expiry
from services.profile.domain.consent_change import lapse
from services.profile.domain.profile import StoredProfile
from services.profile.storage import (
    consent_history,
    identifiers,
    listing,
    merges,
    profiles,
    suppression,
    touchpoints,
)
from services.profile.storage.merges import LoggedMerge
from services.profile.storage.touchpoints import EVERY, Fate, Only, Position, StoredTouchpoint
from shared.contracts.times import rfc3339
from shared.errors import Gone, NotFound, Refused


async def read_profile(tx: AsyncConnection, profile_id: str) -> StoredProfile:
    """The active profile that an id stands for, through any number of merges.

    Raises NotFound, and Gone when it was erased. The id has to be a UUID.
    """
    stored = await read_as_told(tx, profile_id)
    await expire_consents(tx, [stored])
    return stored


async def read_as_told(tx: AsyncConnection, profile_id: str) -> StoredProfile:
    """The profile as its version was told, whose consents may have expired since. Raises as
    `read_profile` does."""
    stored = await profiles.read(tx, profile_id)
    if stored is not None and stored.merged_into is not None:
        now = await profiles.current(tx, [profile_id])
        stored = await profiles.read(tx, now[stored.id])
    if stored is None:
        raise await absent(tx, profile_id)
    return stored


async def absent(tx: AsyncConnection, profile_id: str) -> Refused:
    """Why there is no such profile: there never was one, or it was erased."""
    if await suppression.gone(tx, [profile_id]):
        return Gone(f"profile {profile_id} was erased")
    return NotFound(f"there is no profile {profile_id}")


async def read_profile_by_identifier(tx: AsyncConnection, type_: str, value: str) -> StoredProfile:
    """The profile that an identifier (normalised value) belongs to. Raises NotFound."""
    stored = await profiles.read_by_identifier(tx, identifiers.identifier_id(f"{type_}\0{value}"))
    if stored is None:
        raise NotFound(f"no profile has this {type_}")
    await expire_consents(tx, [stored])
    return stored


async def expire_consents(tx: AsyncConnection, read: Iterable[StoredProfile]) -> bool:
    """Mark in profiles that were read, and will not be written, the consents whose time is up:
    whoever shows them shows them as expired, before the sweeper comes by. Whether there were any:
    what is shown is then not what the version was told with."""
    expiring = [one for one in read if next_expiry(one.state.consents) is not None]
    if expiring:
        now = rfc3339(await listing.business_time(tx))
        ended = [lapse(one.state.consents, now, str) for one in expiring]
        return any(ended)
    return False


async def read_consent_history(
    tx: AsyncConnection,
    stored: StoredProfile,
    *,
    limit: int,
    before: tuple[datetime, str] | None = None,
) -> Sequence[consent_history.Line]:
    """What was said about the consents of an active profile, newest first.

    `before` is (at, id) of the last line of the page before.
    """
    keys = list(stored.state.held)
    return await consent_history.of_profile(tx, stored.id, keys, limit=limit, before=before)


async def read_timeline(
    tx: AsyncConnection,
    stored: StoredProfile,
    *,
    limit: int,
    before: Position | None = None,
    only: Only = EVERY,
    oldest_first: bool = False,
) -> Sequence[StoredTouchpoint]:
    """Touchpoints of an active profile, newest first unless said otherwise.

    `before` is (occurred_at, id) of the last touchpoint of the page before.
    """
    anchors = [
        identifiers.identifier_id(key)
        for key, held in stored.state.held.items()
        if held.sums is not None
    ]
    return await touchpoints.timeline(
        tx, anchors, limit=limit, before=before, only=only, oldest_first=oldest_first
    )


async def read_merges(
    tx: AsyncConnection,
    profile_id: str,
    *,
    limit: int,
    after: int = 0,
) -> Sequence[LoggedMerge]:
    """Every merge that made the profile what it is, oldest first.

    `after` is the number of the last merge of the page before.
    """
    return await merges.of_profile(tx, profile_id, limit=limit, after=after)


async def read_fate(tx: AsyncConnection, touchpoint_id: str) -> Fate:
    """What became of a touchpoint. Raises NotFound while it has not been applied."""
    found = await touchpoints.fate(tx, touchpoint_id)
    if found is None:
        raise NotFound(f"no touchpoint {touchpoint_id} was applied")
    return found
