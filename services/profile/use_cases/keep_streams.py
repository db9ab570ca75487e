"""Keeps the streams that what is in force needs, and the epoch since which each keeps so much."""

from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.segment import Persona, Segment
from services.profile.domain.streams import key_of_declared, needed_streams
from services.profile.domain.trait import ComputedTrait, DeclaredTrait
from services.profile.storage import definitions
from services.profile.storage.definition_kind import Kind
from services.profile.storage.definitions import Stored, StreamRow
from services.profile.use_cases.live_definitions import parse_definition
from shared.conditions.parse import parse_condition
from shared.conditions.tree import EventCount
from shared.postgres.drafts import Body


async def put_streams(tx: AsyncConnection, after: Stored, before: Stored, epoch: int) -> None:
    """A stream that is new, or has to keep more, is of this epoch: its history is read again."""
    parsed = [parse_definition(Kind(row.kind), row.key, row.body) for row in after.rows]
    needed = needed_streams(
        [
            *(one.condition for one in parsed if isinstance(one, Segment | Persona)),
            *(event_leaf(row.body) for row in after.leaves),
        ],
        [one for one in parsed if isinstance(one, ComputedTrait)],
    )
    keep = {key: one.keep for key, one in needed.items()}
    keep |= {key_of_declared(one): 0 for one in parsed if isinstance(one, DeclaredTrait)}
    await definitions.replace_streams(
        tx, {key: _stream(before.streams.get(key), many, epoch) for key, many in keep.items()}
    )


def _stream(before: StreamRow | None, keep: int, epoch: int) -> StreamRow:
    if before is None or before.keep < keep:
        return StreamRow(keep, epoch)
    return StreamRow(keep, before.since)


def event_leaf(document: Body) -> EventCount:
    """The event leaf in a stored document."""
    leaf = parse_condition(document, allow_event_leaves=True)
    assert isinstance(leaf, EventCount)  # noqa: S101 - it was one when it was registered
    return leaf
