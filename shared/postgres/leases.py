"""Who owns which partition, and how far it is: one row each, compared and set in every batch.

`epoch` is the fence: it grows with every claim, so whoever owned the row before finds no row when
it compares. Ownership ends when the owner's row in `member` runs out; the time is the database's.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.kafka.records import Place


class Position(NamedTuple):
    """What an owner believes of its row: the epoch of its claim and the next offset."""

    epoch: int
    next_offset: int


class Lease(NamedTuple):
    """A row as everybody sees it; `free` when it has no living owner."""

    place: Place
    owner: str | None
    free: bool


class Passed(NamedTuple):
    """How one batch moves one partition; `end - start` is the sum of the four counts."""

    place: Place
    start: int
    end: int
    applied: int
    deduped: int
    dead: int
    gaps: int


_HEARTBEAT = text(
    """
    INSERT INTO member (grp, id, lease_until)
    VALUES (:grp, :id, clock_timestamp() + make_interval(secs => :ttl))
    ON CONFLICT (grp, id) DO UPDATE SET lease_until = excluded.lease_until
    """
)
_BURY = text(
    "DELETE FROM member WHERE grp = :grp AND lease_until < clock_timestamp() - interval '1 hour'"
)
_LEAVE = text("DELETE FROM member WHERE grp = :grp AND id = :id")
_MEMBERS = text(
    "SELECT id FROM member WHERE grp = :grp AND lease_until > clock_timestamp() ORDER BY id"
)
_LEASES = text(
    """
    SELECT l.topic, l.part, l.owner, m.id IS NULL AS free
      FROM lease l
      LEFT JOIN member m ON m.grp = l.grp AND m.id = l.owner AND m.lease_until > clock_timestamp()
     WHERE l.grp = :grp
     ORDER BY l.topic, l.part
    """
)
_ENSURE = text(
    """
    INSERT INTO lease (grp, topic, part, base_offset, next_offset)
    SELECT :grp, topic, part, base, base
      FROM unnest(CAST(:topics AS text[]), CAST(:parts AS integer[]), CAST(:bases AS bigint[]))
           AS n (topic, part, base)
    ON CONFLICT DO NOTHING
    """
)
_CLAIM = text(
    """
    WITH takeable AS (
        SELECT l.topic, l.part
          FROM lease l
          JOIN unnest(CAST(:topics AS text[]), CAST(:parts AS integer[])) AS w (topic, part)
            ON l.grp = :grp AND l.topic = w.topic AND l.part = w.part
         WHERE l.owner IS NULL OR l.owner = :owner
            OR NOT EXISTS (SELECT FROM member m WHERE m.grp = l.grp AND m.id = l.owner
                              AND m.lease_until > clock_timestamp())
         ORDER BY l.topic, l.part
           FOR UPDATE OF l SKIP LOCKED
    )
    UPDATE lease l SET epoch = l.epoch + 1, owner = :owner
      FROM takeable t
     WHERE l.grp = :grp AND l.topic = t.topic AND l.part = t.part
    RETURNING l.topic, l.part, l.epoch, l.next_offset
    """
)
_RELEASE = text(
    """
    UPDATE lease l SET owner = NULL
      FROM unnest(CAST(:topics AS text[]), CAST(:parts AS integer[]), CAST(:epochs AS bigint[]))
           AS w (topic, part, epoch)
     WHERE l.grp = :grp AND l.topic = w.topic AND l.part = w.part AND l.epoch = w.epoch
    """
)
_RELINQUISH = text(
    """
    UPDATE lease l SET owner = NULL
      FROM unnest(CAST(:topics AS text[]), CAST(:parts AS integer[])) AS w (topic, part)
     WHERE l.grp = :grp AND l.topic = w.topic AND l.part = w.part AND l.owner = :owner
    """
)
_LOCK = text(
    """
    SELECT l.topic, l.part, l.epoch, l.next_offset
      FROM lease l
      JOIN unnest(CAST(:topics AS text[]), CAST(:parts AS integer[])) AS w (topic, part)
        ON l.grp = :grp AND l.topic = w.topic AND l.part = w.part
     ORDER BY l.topic, l.part
       FOR UPDATE OF l
    """
)
ADVANCE = """
    UPDATE lease l
       SET next_offset = w.next_offset, applied = l.applied + w.applied,
           deduped = l.deduped + w.deduped, dead = l.dead + w.dead, gaps = l.gaps + w.gaps
      FROM unnest(CAST(:topics AS text[]), CAST(:parts AS integer[]), CAST(:ends AS bigint[]),
                  CAST(:applied AS bigint[]), CAST(:deduped AS bigint[]), CAST(:dead AS bigint[]),
                  CAST(:gaps AS bigint[]), CAST(:epochs AS bigint[]), CAST(:starts AS bigint[]))
           AS w (topic, part, next_offset, applied, deduped, dead, gaps, epoch, start)
     WHERE l.grp = :grp AND l.topic = w.topic AND l.part = w.part
       AND l.epoch = w.epoch AND l.next_offset = w.start
    RETURNING l.topic, l.part
"""
"""Moves rows; a service may count in the same statement. Its values are `advance_values`."""
_ADVANCE = text(ADVANCE)


def _columns(places: Iterable[Place]) -> dict[str, list[object]]:
    ordered = sorted(places)
    return {
        "topics": [place.topic for place in ordered],
        "parts": [place.partition for place in ordered],
    }


async def heartbeat(tx: AsyncConnection, grp: str, member: str, ttl_seconds: float) -> None:
    """Say that `member` lives for another `ttl_seconds`; forget members dead for an hour."""
    await tx.execute(_HEARTBEAT, {"grp": grp, "id": member, "ttl": ttl_seconds})
    await tx.execute(_BURY, {"grp": grp})


async def leave(tx: AsyncConnection, grp: str, member: str) -> None:
    """Say that `member` is gone: what it owned is free at once."""
    await tx.execute(_LEAVE, {"grp": grp, "id": member})


async def members(tx: AsyncConnection, grp: str) -> list[str]:
    """The living members of a group, in order."""
    return list((await tx.execute(_MEMBERS, {"grp": grp})).scalars())


async def leases(tx: AsyncConnection, grp: str) -> list[Lease]:
    """Every row of a group."""
    rows = await tx.execute(_LEASES, {"grp": grp})
    return [Lease(Place(row.topic, row.part), row.owner, row.free) for row in rows]


async def ensure(tx: AsyncConnection, grp: str, bases: Mapping[Place, int]) -> None:
    """Create rows that are missing; a new partition begins at its base offset."""
    places = sorted(bases)
    columns = _columns(places) | {"bases": [bases[place] for place in places]}
    await tx.execute(_ENSURE, {"grp": grp, **columns})


async def claim(
    tx: AsyncConnection, grp: str, owner: str, places: Iterable[Place]
) -> dict[Place, Position]:
    """Take those of `places` that have no living owner; the others are left out.

    A row that a dying owner's transaction still holds is left out too: try again soon.
    """
    rows = await tx.execute(_CLAIM, {"grp": grp, "owner": owner, **_columns(places)})
    return {Place(row.topic, row.part): Position(row.epoch, row.next_offset) for row in rows}


async def release(tx: AsyncConnection, grp: str, held: Mapping[Place, int]) -> None:
    """Give rows back; a row that somebody claimed since (another epoch) is left alone."""
    columns = _columns(held) | {"epochs": [held[place] for place in sorted(held)]}
    await tx.execute(_RELEASE, {"grp": grp, **columns})


async def relinquish(tx: AsyncConnection, grp: str, owner: str, places: Iterable[Place]) -> None:
    """Give back rows that name us although we hold them no more: a reply was lost."""
    await tx.execute(_RELINQUISH, {"grp": grp, "owner": owner, **_columns(places)})


async def lock(tx: AsyncConnection, grp: str, places: Iterable[Place]) -> dict[Place, Position]:
    """Lock rows and read them: waits for whoever is in doubt, and then sees the truth.

    The first statement of every batch; the caller compares the result with what it believes.
    """
    rows = await tx.execute(_LOCK, {"grp": grp, **_columns(places)})
    return {Place(row.topic, row.part): Position(row.epoch, row.next_offset) for row in rows}


async def advance(
    tx: AsyncConnection, grp: str, passed: Sequence[Passed], epochs: Mapping[Place, int]
) -> set[Place]:
    """Move rows past a batch, if they have our epoch and stand where it starts.

    Returns the places that moved. The table's check refuses counts that do not add up.
    """
    rows = await tx.execute(_ADVANCE, advance_values(grp, passed, epochs))
    return {Place(row.topic, row.part) for row in rows}


def advance_values(
    grp: str, passed: Sequence[Passed], epochs: Mapping[Place, int]
) -> dict[str, object]:
    """The parameters of `ADVANCE`."""
    return {
        "grp": grp,
        "topics": [row.place.topic for row in passed],
        "parts": [row.place.partition for row in passed],
        "ends": [row.end for row in passed],
        "applied": [row.applied for row in passed],
        "deduped": [row.deduped for row in passed],
        "dead": [row.dead for row in passed],
        "gaps": [row.gaps for row in passed],
        "epochs": [epochs.get(row.place) for row in passed],
        "starts": [row.start for row in passed],
    }
