"""A profile as `profile.updates` would tell of it right now, for a decision that cannot wait."""

from services.profile.domain.absorb import Rules
from services.profile.domain.snapshot import update
from services.profile.domain.working_profile import WorkingProfile
from services.profile.storage import snapshots, suppression
from services.profile.storage.identifiers import identifier_id
from services.profile.use_cases.live_definitions import LiveDefinitions
from shared import ids
from shared.errors import Gone
from shared.postgres.transaction import Tx

PROFILE_ID = "profile_id"
NO_CAUSE = b'{"kind":"read"}'


async def read_snapshot(
    tx: Tx, type_: str, value: str, *, rules: Rules, live: LiveDefinitions
) -> bytes | None:
    """The message of an update without a change: the profile as a decision on the stream would see
    it, and the number of its last update.

    None when the identifier (normalised value) belongs to nobody, or to many people at once. The
    reserved type `profile_id` names a profile by any id it ever had. Raises Gone for the id of one
    that was erased.
    """
    if type_ == PROFILE_ID:
        if not ids.is_uuid(value):
            return None
        found = await snapshots.by_id(tx, value)
    else:
        found = await snapshots.by_identifier(tx, identifier_id(f"{type_}\0{value}"))
    if found.profile is None:
        if type_ == PROFILE_ID and await suppression.gone(tx, [value]):
            raise Gone(f"profile {value} was erased")
        return None
    look = await live.as_of(tx, found.state)
    profile = WorkingProfile(found.profile, rules.traits)
    return update(profile, NO_CAUSE, rules.identity, look=look)
