"""Exports: what is asked for, how far each has come, and the ids of whom it found.

Only ids are kept, never what is known of the people: who is erased is in no export.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import select, text
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.profile import StoredProfile
from services.profile.storage.population import row_facts
from services.profile.storage.profiles import stored_profile
from services.profile.storage.tables import profile
from shared.conditions.sql import sql_condition
from shared.conditions.tree import Condition
from shared.postgres.audit import Who

NIL = "00000000-0000-0000-0000-000000000000"


class Export(NamedTuple):
    """One export. `of` is how many active profiles there were at the start, `matched` how many of
    those `examined` are in it; `condition` is the document as it was asked."""

    id: str
    condition: Any
    fields: list[str]
    format: str
    status: str
    position: str
    of: int | None
    examined: int
    matched: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: str | None
    who: str
    who_name: str


_COLUMNS = """id, condition, fields, format, status, position, of, examined, matched,
              created_at, started_at, finished_at, error, who, who_name"""
_INSERT = text(
    f"""
    INSERT INTO export (id, condition, fields, format, who, who_name)
    VALUES (CAST(:id AS uuid), CAST(:condition AS jsonb), CAST(:fields AS text[]), :format,
            :who, :who_name)
    RETURNING {_COLUMNS}
    """  # noqa: S608 - our own columns
)
_READ = text(f"SELECT {_COLUMNS} FROM export WHERE id = CAST(:id AS uuid)")  # noqa: S608 - our own
_LIST = text(
    f"""
    SELECT {_COLUMNS} FROM export
     WHERE (created_at, id) < (CAST(:before_at AS timestamptz), CAST(:before_id AS uuid))
     ORDER BY created_at DESC, id DESC LIMIT :limit
    """  # noqa: S608 - our own columns
)
_OPEN = text("SELECT count(*) FROM export WHERE finished_at IS NULL")
_TAKE = text(
    f"""
    SELECT {_COLUMNS} FROM export WHERE finished_at IS NULL
     ORDER BY created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
    """  # noqa: S608 - our own columns
)
_START = text(
    """
    UPDATE export SET status = 'running', started_at = clock_timestamp(),
           of = (SELECT count(*) FROM profile WHERE status = 'active')
     WHERE id = CAST(:id AS uuid)
    """
)
_IDS = text(
    """
    SELECT id FROM profile WHERE id > CAST(:after AS uuid) AND status = 'active'
     ORDER BY id LIMIT :limit
    """
)
_ADD_PART = text(
    """
    INSERT INTO export_part (export_id, last, ids)
    VALUES (CAST(:id AS uuid), CAST(:last AS uuid), CAST(:ids AS uuid[]))
    """
)
_MOVE = text(
    """
    UPDATE export
       SET position = CAST(:position AS uuid), examined = examined + :examined,
           matched = matched + :matched,
           status = CASE WHEN :done THEN 'done' ELSE status END,
           finished_at = CASE WHEN :done THEN clock_timestamp() END
     WHERE id = CAST(:id AS uuid)
    """
)
_FAIL = text(
    """
    UPDATE export SET status = 'failed', error = :error, finished_at = clock_timestamp()
     WHERE id = CAST(:id AS uuid) AND finished_at IS NULL
    """
)
_FORGET_CONDITIONS = text(
    """
    UPDATE export
       SET condition = '{}', finished_at = coalesce(finished_at, clock_timestamp()),
           status = CASE WHEN finished_at IS NULL THEN 'failed' ELSE status END,
           error = CASE WHEN finished_at IS NULL THEN 'it named a person who was erased'
                        ELSE error END
     WHERE EXISTS (SELECT FROM unnest(CAST(:needles AS text[])) AS n (needle)
                    WHERE position(needle IN condition::text) > 0)
    """
)
_DELETE = text("DELETE FROM export WHERE id = CAST(:id AS uuid)")
_EXPIRE = text(
    "DELETE FROM export WHERE finished_at < clock_timestamp() - make_interval(days => :days)"
)
_PART = text(
    """
    SELECT ids FROM export_part
     WHERE export_id = CAST(:id AS uuid) AND last > CAST(:after AS uuid)
     ORDER BY last LIMIT 1
    """
)
_PEOPLE = text(
    """
    SELECT id, status, merged_into, seq, n_merges, state FROM profile
     WHERE id = ANY (CAST(:ids AS uuid[])) AND status = 'active' ORDER BY id
    """
)


async def insert(
    tx: AsyncConnection, id_: str, *, condition: Any, fields: Sequence[str], format_: str, who: Who
) -> Export:
    """Let an export wait for a sweeper."""
    values = {
        "id": id_,
        "condition": msgspec.json.encode(condition).decode(),
        "fields": list(fields),
        "format": format_,
        "who": who.id,
        "who_name": who.name,
    }
    return _export((await tx.execute(_INSERT, values)).one())


async def read(tx: AsyncConnection, id_: str) -> Export | None:
    """One export, None when there is none (any more)."""
    row = (await tx.execute(_READ, {"id": id_})).one_or_none()
    return None if row is None else _export(row)


async def newest(tx: AsyncConnection, *, before: tuple[datetime, str], limit: int) -> list[Export]:
    """Exports that were made before (created_at, id), newest first."""
    values = {"before_at": before[0], "before_id": before[1], "limit": limit}
    return [_export(row) for row in await tx.execute(_LIST, values)]


async def count_open(tx: AsyncConnection) -> int:
    """How many are not finished."""
    count: int = (await tx.execute(_OPEN)).scalar_one()
    return count


async def take(tx: AsyncConnection) -> Export | None:
    """The oldest open export that nobody else holds; None when there is none."""
    row = (await tx.execute(_TAKE)).one_or_none()
    return None if row is None else _export(row)


async def start(tx: AsyncConnection, id_: str) -> None:
    """Note that it runs, and over how many profiles."""
    await tx.execute(_START, {"id": id_})


async def examine(
    tx: AsyncConnection, condition: Condition, *, after: str, limit: int
) -> tuple[list[str], list[str]]:
    """The ids of the next active profiles, and of those for whom the condition holds now."""
    page = [str(row[0]) for row in await tx.execute(_IDS, {"after": after, "limit": limit})]
    if not page:
        return [], []
    holds = sql_condition(condition, row_facts())
    span = profile.c.id.between(page[0], page[-1])
    found = select(profile.c.id).where(span, profile.c.status == "active", holds)
    rows = await tx.execute(found.order_by(profile.c.id))
    return page, [str(row[0]) for row in rows]


async def add_part(tx: AsyncConnection, id_: str, ids: Sequence[str]) -> None:
    """Keep the ids of some who are in the export, in order."""
    if ids:
        await tx.execute(_ADD_PART, {"id": id_, "last": ids[-1], "ids": list(ids)})


async def move(
    tx: AsyncConnection, id_: str, *, position: str, examined: int, matched: int, done: bool
) -> None:
    """Note how far it has come."""
    values = {"position": position, "examined": examined, "matched": matched, "done": done}
    await tx.execute(_MOVE, {"id": id_, **values})


async def fail(tx: AsyncConnection, id_: str, error: str) -> None:
    """End it for good."""
    await tx.execute(_FAIL, {"id": id_, "error": error})


async def forget_conditions(tx: AsyncConnection, needles: Sequence[str]) -> int:
    """Empty the conditions that have one of the needles in their JSON; what is still open ends,
    for nobody knows any more whom it was to find. How many there were."""
    return (await tx.execute(_FORGET_CONDITIONS, {"needles": list(needles)})).rowcount


async def delete(tx: AsyncConnection, id_: str) -> bool:
    """Forget an export; False when there was none."""
    return (await tx.execute(_DELETE, {"id": id_})).rowcount > 0


async def expire(tx: AsyncConnection, days: int) -> None:
    """Forget those that were finished so many days ago."""
    await tx.execute(_EXPIRE, {"days": days})


async def part(tx: AsyncConnection, id_: str, *, after: str) -> list[str]:
    """The next ids behind `after`, in order; none: that was all."""
    row = (await tx.execute(_PART, {"id": id_, "after": after})).one_or_none()
    return [] if row is None else [one for one in map(str, row[0]) if one > after]


async def people(tx: AsyncConnection, ids: Sequence[str]) -> list[StoredProfile]:
    """Those of the profiles that are active now, by id."""
    return [stored_profile(row) for row in await tx.execute(_PEOPLE, {"ids": list(ids)})]


def _export(row: Row[Any]) -> Export:
    found = Export._make(row)
    return found._replace(id=str(found.id), position=str(found.position))
