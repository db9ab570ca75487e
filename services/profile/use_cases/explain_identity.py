"""Says for one touchpoint what was matched, demoted and blocked, by which rule, and whose it is."""

from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.audience import AUDIENCE
from services.profile.domain.erased import ERASED, SUPPRESSED, usable_then
from services.profile.domain.evidence import Judged, decode_notes, judge
from services.profile.storage import evidence
from services.profile.use_cases.load_rules import rules_of_version
from shared.contracts.touchpoint import envelope_decoder
from shared.errors import Gone, NotFound


class Explained(NamedTuple):
    """How a touchpoint came to its profile. `kind`: `create`, `attach`, `merge`, `plain` (all its
    identifiers were known, on one profile), `none` (nothing names a person, or it is meant for an
    audience) or `unrecorded` (it was absorbed before that was kept). `rules_version` was in force;
    0 is what is built in."""

    kind: str
    reason: str | None
    rules_version: int | None
    identifiers: list[Judged]
    profile_then: str | None
    profile_now: str | None


async def explain_identity(tx: AsyncConnection, touchpoint_id: str) -> Explained:
    """Raises NotFound while the touchpoint has not been applied, and Gone when it is not known any
    more whom it was about."""
    placed = await evidence.of_touchpoint(tx, touchpoint_id)
    if placed is None:
        raise NotFound(f"no touchpoint {touchpoint_id} was applied")
    if placed.reason in (ERASED, SUPPRESSED):
        raise Gone(f"whoever touchpoint {touchpoint_id} was about was erased")
    if placed.rules is None:
        kind = "none" if placed.reason == AUDIENCE else "unrecorded"
        return Explained(kind, placed.reason, None, [], None, placed.profile_now)
    rules = await rules_of_version(tx, placed.rules)
    touchpoint = envelope_decoder.decode(placed.body)
    notes = {} if placed.notes is None else decode_notes(placed.notes)
    note = notes.get(placed.place)
    kind = "none" if placed.profile_then is None else "plain"
    if note is not None and note.kind is not None:
        kind = note.kind
    return Explained(
        kind,
        placed.reason,
        placed.rules,
        judge(touchpoint.identifiers, usable_then(touchpoint, placed.body, rules), note, rules),
        placed.profile_then,
        placed.profile_now,
    )
