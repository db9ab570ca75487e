"""The ids of new profiles and merges: derived from what caused them, so a replay gives the same."""

from uuid import UUID

from services.profile.domain.absorbed import Naming
from services.profile.domain.consent_events import ENTRIES
from shared.contracts.times import parse_rfc3339
from shared.ids import derived_id, derived_id_text, time_ordered_id_from

MERGE_NAMESPACE = UUID("5b0d7a52-8f53-5c3e-9a55-0c6f6d1f7a10")
SPLIT_NAMESPACE = UUID("5f6f0f0e-0d0b-5a39-8b7a-3c1c6f5f8d21")
CHANGE_NAMESPACE = UUID("0c8e6b7e-9b1c-5d0a-8f5e-3f1f1c9f2b6d")


def profile_id_for(touchpoint_id: str, received_at: str) -> str:
    """The id of a profile that a touchpoint creates: older touchpoints make smaller ids."""
    milliseconds = max(round(parse_rfc3339(received_at).timestamp() * 1000), 0)
    return str(time_ordered_id_from(milliseconds, touchpoint_id))


def merge_id_for(winner: str, loser: str, touchpoint_id: str) -> str:
    """The id of a merge that a touchpoint causes."""
    return str(derived_id(MERGE_NAMESPACE, winner, loser, touchpoint_id))


def hand_merge_id(winner: str, loser: str, loser_seq: int) -> str:
    """The id of a merge by hand; after an undo the loser has another number."""
    return str(derived_id(MERGE_NAMESPACE, winner, loser, str(loser_seq)))


def split_id(profile_id: str, seq: int) -> str:
    """The id of the cause of the update by which a profile was divided."""
    return str(derived_id(SPLIT_NAMESPACE, profile_id, str(seq)))


def change_id(profile_id: str, seq: int) -> str:
    """The id of the cause of the update with this number."""
    return derived_id_text(CHANGE_NAMESPACE, profile_id, str(seq))


def consent_entry_id(profile_id: str, seq: int, place: int | str) -> str:
    """The id of an entry in the history of consents, of the change that takes this number."""
    return str(derived_id(ENTRIES, profile_id, str(seq), str(place)))


NAMING = Naming(profile=profile_id_for, merge=merge_id_for, change=change_id)
