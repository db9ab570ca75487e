"""Touchpoints: deduplication and history in one table, and the duplicates that clients sent.

A touchpoint belongs to the profile that owns its anchor, so a merge or a split rewrites nothing.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.contracts.touchpoint import RawPosition, envelope_decoder


class NewTouchpoint(NamedTuple):
    """A row to be inserted. `anchor` is the id of an identifier; `occurred_at` is RFC 3339."""

    id: str
    anchor: str | None
    occurred_at: str
    raw: RawPosition
    body: bytes


_INSERT = text(
    """
    WITH numbered AS (
        SELECT nextval('batch_id') AS batch
    ), inserted AS (
        INSERT INTO touchpoint
               (id, anchor, occurred_at, raw_topic, raw_partition, raw_offset, body, batch)
        SELECT id, anchor, CAST(occurred_at AS timestamptz), topic, part, pos, body,
               (SELECT batch FROM numbered)
          FROM unnest(CAST(:ids AS uuid[]), CAST(:anchors AS uuid[]), CAST(:occurred_at AS text[]),
                      CAST(:topics AS text[]), CAST(:parts AS integer[]),
                      CAST(:offsets AS bigint[]), CAST(:bodies AS bytea[]))
               AS new (id, anchor, occurred_at, topic, part, pos, body)
        ON CONFLICT DO NOTHING
        RETURNING id
    )
    SELECT batch, ARRAY(
           SELECT id FROM unnest(CAST(:ids AS uuid[])) AS asked (id)
           EXCEPT
           SELECT id FROM inserted)
      FROM numbered
    """
)


class Inserted(NamedTuple):
    """The number of the batch, and the ids that had been stored before it."""

    batch: int
    seen: set[str]


async def insert(tx: AsyncConnection, rows: Iterable[NewTouchpoint]) -> Inserted:
    """Insert what is new, in order of id. The ids of `rows` must differ."""
    ordered = sorted(rows, key=lambda row: row.id)
    result = await tx.execute(
        _INSERT,
        {
            "ids": [row.id for row in ordered],
            "anchors": [row.anchor for row in ordered],
            "occurred_at": [row.occurred_at for row in ordered],
            "topics": [row.raw.topic for row in ordered],
            "parts": [row.raw.partition for row in ordered],
            "offsets": [row.raw.offset for row in ordered],
            "bodies": [row.body for row in ordered],
        },
    )
    batch, seen = result.one()
    return Inserted(batch, set(map(str, seen)))


_POSITIONS = text(
    """
    SELECT id, raw_topic, raw_partition, raw_offset
      FROM touchpoint WHERE id = ANY (CAST(:ids AS uuid[]))
    """
)


async def raw_positions(tx: AsyncConnection, ids: Sequence[str]) -> dict[str, RawPosition]:
    """Where the raw record of each stored touchpoint stands."""
    rows = await tx.execute(_POSITIONS, {"ids": ids})
    return {str(row[0]): RawPosition(row[1], row[2], row[3]) for row in rows}


class Duplicate(NamedTuple):
    """Another raw record that carried the id of a stored touchpoint."""

    id: str
    raw_topic: str
    raw_partition: int
    raw_offset: int
    source: str


_INSERT_DUPLICATES = text(
    """
    INSERT INTO touchpoint_duplicate (id, raw_topic, raw_partition, raw_offset, source)
    SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:topics AS text[]), CAST(:parts AS integer[]),
                         CAST(:offsets AS bigint[]), CAST(:sources AS text[]))
    ON CONFLICT DO NOTHING
    RETURNING source
    """
)


async def insert_duplicates(tx: AsyncConnection, duplicates: Iterable[Duplicate]) -> Counter[str]:
    """Note duplicates, each raw record once; returns how many of each source were new."""
    ordered = sorted(set(duplicates))
    if not ordered:
        return Counter()
    ids, topics, parts, offsets, sources = zip(*ordered, strict=True)
    result = await tx.execute(
        _INSERT_DUPLICATES,
        {"ids": ids, "topics": topics, "parts": parts, "offsets": offsets, "sources": sources},
    )
    return Counter(result.scalars())


_ANCHOR = text(
    """
    UPDATE touchpoint SET anchor = found.anchor, reason = found.reason
      FROM unnest(CAST(:ids AS uuid[]), CAST(:anchors AS uuid[]), CAST(:reasons AS text[]))
           AS found (id, anchor, reason)
     WHERE touchpoint.id = found.id AND touchpoint.id = ANY (CAST(:ids AS uuid[]))
    """
)


async def anchor(
    tx: AsyncConnection, anchors: Mapping[str, str | None], *, reason_if_none: str
) -> None:
    """Hang touchpoints (by id) on another identifier (by id) than they were inserted with."""
    if anchors:
        await tx.execute(
            _ANCHOR,
            {
                "ids": list(anchors),
                "anchors": list(anchors.values()),
                "reasons": [
                    reason_if_none if found is None else None for found in anchors.values()
                ],
            },
        )


class StoredTouchpoint(NamedTuple):
    """A touchpoint of a timeline; `body` is its JSON as it came."""

    id: str
    occurred_at: datetime
    body: bytes


_TIMELINE = text(
    """
    SELECT found.id, found.occurred_at, found.body
      FROM unnest(CAST(:anchors AS uuid[])) AS held (anchor)
     CROSS JOIN LATERAL (
        SELECT id, occurred_at, body
          FROM touchpoint
         WHERE touchpoint.anchor = held.anchor AND reason IS NULL
           AND (occurred_at, id) > (CAST(:after_at AS timestamptz), CAST(:after_id AS uuid))
           AND (occurred_at, id) < (CAST(:before_at AS timestamptz), CAST(:before_id AS uuid))
         ORDER BY occurred_at DESC, id DESC
         LIMIT :limit
     ) AS found
     ORDER BY found.occurred_at DESC, found.id DESC
     LIMIT :limit
    """
)
_SOME = text(
    """
    SELECT found.id, found.occurred_at, found.body
      FROM unnest(CAST(:anchors AS uuid[])) AS held (anchor)
     CROSS JOIN LATERAL (
        SELECT id, occurred_at, body
          FROM touchpoint
         CROSS JOIN LATERAL (
               SELECT CASE WHEN position('\\u0000' IN convert_from(body, 'UTF8')) = 0
                           THEN CAST(convert_from(body, 'UTF8') AS json) END AS said
               OFFSET 0
         ) AS read
         WHERE touchpoint.anchor = held.anchor AND reason IS NULL
           AND (occurred_at, id) > (CAST(:after_at AS timestamptz), CAST(:after_id AS uuid))
           AND (occurred_at, id) < (CAST(:before_at AS timestamptz), CAST(:before_id AS uuid))
           AND (cardinality(CAST(:types AS text[])) = 0
                OR said ->> 'type' = ANY (CAST(:types AS text[])))
           AND (cardinality(CAST(:channels AS text[])) = 0
                OR said ->> 'channel' = ANY (CAST(:channels AS text[])))
           AND (cardinality(CAST(:sources AS text[])) = 0
                OR said ->> 'source' = ANY (CAST(:sources AS text[])))
           AND said ->> 'type' <> ALL (CAST(:without AS text[]))
         ORDER BY occurred_at DESC, id DESC
         LIMIT :limit
     ) AS found
     ORDER BY found.occurred_at DESC, found.id DESC
     LIMIT :limit
    """
)
"""A body with U+0000 would be no text to PostgreSQL; ingest takes none."""
_OLDEST_FIRST = {
    newest: text(newest.text.replace(" DESC", " ASC")) for newest in (_TIMELINE, _SOME)
}
_FIRST_ID = "00000000-0000-0000-0000-000000000000"
BEGINNING = datetime.fromisoformat("0001-01-01T00:00:00+00:00")
END = datetime.fromisoformat("9999-12-31T23:59:59.999999+00:00")

Position = tuple[datetime, str]
"""(occurred_at, id): the place of a touchpoint in a timeline."""


class Only(NamedTuple):
    """Which touchpoints are asked for; what is empty does not matter. `without` are types that are
    not; `since` is among the instants, `until` is not."""

    types: Sequence[str] = ()
    channels: Sequence[str] = ()
    sources: Sequence[str] = ()
    without: Sequence[str] = ()
    since: datetime = BEGINNING
    until: datetime = END

    @property
    def names_some(self) -> bool:
        """Whether it asks for more than a span of time."""
        return bool(self.types or self.channels or self.sources or self.without)


EVERY = Only()


async def timeline(
    tx: AsyncConnection,
    anchors: Sequence[str],
    *,
    limit: int,
    before: Position | None = None,
    only: Only = EVERY,
    oldest_first: bool = False,
) -> list[StoredTouchpoint]:
    """Touchpoints that hang on the identifiers (by id), newest first unless said otherwise.

    `before` is the position of the last one of the page before. An index leads to them; by type,
    channel and source those of the span are read one after another until there are enough.
    """
    begin, end = (only.since, _FIRST_ID), (only.until, _FIRST_ID)
    if before is not None and oldest_first:
        begin = max(begin, before)
    elif before is not None:
        end = min(end, before)
    values: dict[str, object] = {"anchors": anchors, "limit": limit}
    values |= {"after_at": begin[0], "after_id": begin[1]}
    values |= {"before_at": end[0], "before_id": end[1]}
    if only.names_some:
        values |= {"types": list(only.types), "channels": list(only.channels)}
        values |= {"sources": list(only.sources), "without": list(only.without)}
    statement = _SOME if only.names_some else _TIMELINE
    rows = await tx.execute(_OLDEST_FIRST[statement] if oldest_first else statement, values)
    return [StoredTouchpoint(str(row[0]), row[1], row[2]) for row in rows]


_HISTORY = text(
    "SELECT anchor::text, body FROM touchpoint WHERE anchor = ANY (CAST(:anchors AS uuid[]))"
    " AND reason IS NULL"
)


async def history(tx: AsyncConnection, anchors: Sequence[str]) -> AsyncIterator[tuple[str, bytes]]:
    """Every touchpoint that hangs on the identifiers (32 hex digits), with which one; unsorted."""
    async with tx.stream(_HISTORY, {"anchors": anchors}) as rows:
        async for anchor_id, body in rows:
            yield anchor_id.replace("-", ""), body


_FATE = text(
    """
    SELECT body, reason, profile_id,
           (SELECT count(*) FROM touchpoint_duplicate WHERE touchpoint_duplicate.id = touchpoint.id)
      FROM touchpoint LEFT JOIN identifier ON identifier.id = touchpoint.anchor
     WHERE touchpoint.id = CAST(:id AS uuid)
    """
)


class Fate(NamedTuple):
    """What became of a touchpoint: the profile it belongs to now, or the reason it has none.

    `source` published the copy that was applied.
    """

    profile_id: str | None
    reason: str | None
    duplicates: int
    source: str


async def fate(tx: AsyncConnection, touchpoint_id: str) -> Fate | None:
    """None if no such touchpoint was applied (yet)."""
    row = (await tx.execute(_FATE, {"id": touchpoint_id})).one_or_none()
    if row is None:
        return None
    source = envelope_decoder.decode(row[0]).source
    return Fate(None if row[2] is None else str(row[2]), row[1], row[3], source)
