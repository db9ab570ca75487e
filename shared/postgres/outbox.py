"""The outbox: messages commit with the state they speak of, packed in one row per partition.

Whoever changes state appends here inside its transaction, while it holds the locks of the profiles
the messages are about; so the order of row ids is the order of `seq` for each profile. Nobody but
the relay publishes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import cramjam
import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.kafka.messages import Message, OutboxBuffer
from shared.kafka.records import Place
from shared.postgres.together import Part
from shared.postgres.transaction import Tx

SHARDS = 8
"""Relay ownership is per `partition % SHARDS`, for all topics alike."""

FRAME_BYTES = 4 * 1024 * 1024
"""A frame is closed when it passes this size, so that no row grows without bound."""

PACKED_FROM_BYTES = 1024
"""A smaller frame is kept as it is: it fits in its row."""
PACKED = b"\xc1"
"""What a packed frame begins with, and nothing else: MessagePack never uses it. An LZ4 block
follows. The updates of one person repeat each other, so a frame shrinks to a fifth; what is not
written, read and deleted costs more than the packing. A stronger codec costs more for small frames
than it saves."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Message])

_INSERT = text(
    """
    INSERT INTO outbox (shard, topic, part, messages, frame)
    SELECT shard, topic, part, messages, frame
      FROM unnest(CAST(:shards AS smallint[]), CAST(:topics AS text[]), CAST(:parts AS integer[]),
                  CAST(:messages AS integer[]), CAST(:frames AS bytea[]))
           WITH ORDINALITY AS f (shard, topic, part, messages, frame, n)
     WHERE pg_current_xact_id() IS NOT NULL
     ORDER BY n
    """
)
"""The transaction has its id before the rows have theirs: what marks of relays are based on."""


async def append(tx: AsyncConnection, buffer: OutboxBuffer) -> None:
    """Insert the buffer as frames, one row per partition, in one statement."""
    for part in appending(buffer):
        await tx.execute(part.statement, part.values)


def appending(buffer: OutboxBuffer) -> list[Part]:
    """The same as a part of a larger write; none for an empty buffer."""
    rows = [
        (partition % SHARDS, topic, partition, len(part), encode_frame(part))
        for (topic, partition), messages in buffer.items()
        for part in _split(messages)
    ]
    if not rows:
        return []
    shards, topics, parts, counts, frames = zip(*rows, strict=True)
    values = {
        "shards": list(shards),
        "topics": list(topics),
        "parts": list(parts),
        "messages": list(counts),
        "frames": list(frames),
    }
    return [Part(_INSERT, values)]


def encode_frame(messages: Sequence[Message]) -> bytes:
    """The messages as they stand in a row."""
    frame = _encoder.encode(messages)
    if len(frame) < PACKED_FROM_BYTES:
        return frame
    return PACKED + bytes(cramjam.lz4.compress_block(frame))


def decode_frame(frame: bytes) -> list[Message]:
    """The messages of a row's `frame`, in order."""
    return _decoder.decode(unpacked(frame))


def unpacked(frame: bytes) -> bytes:
    """A frame in which its messages can be found as they are."""
    if not frame.startswith(PACKED):
        return frame
    return bytes(cramjam.lz4.decompress_block(memoryview(frame)[1:]))


def _split(messages: list[Message]) -> Iterator[list[Message]]:
    start = size = 0
    for index, message in enumerate(messages):
        size += len(message.value or b"") + len(message.key or b"")
        if size > FRAME_BYTES and index > start:
            yield messages[start:index]
            start, size = index, len(message.value or b"")
    yield messages[start:]


class Frame(NamedTuple):
    """A row of the outbox, still encoded."""

    shard: int
    id: int
    topic: str
    partition: int
    frame: bytes


class Found(NamedTuple):
    """What a look at the outbox saw. All transactions with an id less than `all_ended_below` had
    ended; none with `none_begun_from` or a greater one had begun."""

    frames: list[Frame]
    all_ended_below: int
    none_begun_from: int


class Backlog(NamedTuple):
    """What waits to be published: rows, and the age of the oldest in seconds."""

    frames: int
    oldest_seconds: float


_READ = text(
    """
    SELECT CAST(CAST(pg_snapshot_xmin(now.seen) AS text) AS bigint) AS all_ended_below,
           CAST(CAST(pg_snapshot_xmax(now.seen) AS text) AS bigint) AS none_begun_from,
           s.shard, o.id, o.topic, o.part, o.frame
      FROM (SELECT pg_current_snapshot() AS seen) AS now
     CROSS JOIN unnest(CAST(:shards AS smallint[]), CAST(:above AS bigint[])) AS s (shard, above)
      LEFT JOIN LATERAL (
           SELECT * FROM outbox WHERE outbox.shard = s.shard AND outbox.id > s.above
            ORDER BY outbox.id LIMIT :frames) o ON true
     ORDER BY s.shard, o.id
    """
)
_DELETE = text(
    """
    WITH ours AS MATERIALIZED (
        SELECT l.topic, l.part
          FROM lease l
          JOIN unnest(CAST(:topics AS text[]), CAST(:parts AS integer[]), CAST(:epochs AS bigint[]))
               AS w (topic, part, epoch)
            ON l.grp = :grp AND l.topic = w.topic AND l.part = w.part AND l.epoch = w.epoch
         ORDER BY l.topic, l.part
           FOR UPDATE OF l
    ), deleted AS (
        DELETE FROM outbox o
         USING unnest(CAST(:shards AS smallint[]), CAST(:ids AS bigint[])) AS d (shard, id), ours
         WHERE ours.part = d.shard AND o.shard = d.shard AND o.id = d.id
    )
    SELECT topic, part FROM ours
    """
)
_BACKLOG = text(
    """
    SELECT count(*) AS frames,
           coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8 AS oldest
      FROM outbox
    """
)


async def read(tx: Tx, above: Mapping[int, int], frames: int) -> Found:
    """The oldest rows of each shard in `above` with a greater id than is said there, at most
    `frames` a shard, in the order to publish them. `above` is not empty."""
    shards = sorted(above)
    rows = (
        await tx.execute(
            _READ, {"shards": shards, "above": [above[one] for one in shards], "frames": frames}
        )
    ).all()
    return Found(
        [
            Frame(row.shard, row.id, row.topic, row.part, row.frame)
            for row in rows
            if row.id is not None
        ],
        rows[0].all_ended_below,
        rows[0].none_begun_from,
    )


async def delete(
    tx: Tx, frames: Sequence[Frame], grp: str, owned: Mapping[Place, int]
) -> set[Place]:
    """Remove exactly the rows that were published, never by a range or a cursor.

    `owned` has the lease of each shard with the epoch we believe in; rows of a shard with another
    epoch are left to its new owner. Returns the leases that are ours.
    """
    places = sorted(owned)
    rows = await tx.execute(
        _DELETE,
        {
            "grp": grp,
            "topics": [place.topic for place in places],
            "parts": [place.partition for place in places],
            "epochs": [owned[place] for place in places],
            "shards": [frame.shard for frame in frames],
            "ids": [frame.id for frame in frames],
        },
    )
    return {Place(row.topic, row.part) for row in rows}


_PAGE = text(
    """
    SELECT shard, id, frame FROM outbox
     WHERE (shard, id) > (:shard, :id) ORDER BY shard, id LIMIT :frames
    """
)
_TAKE = text("SELECT topic, frame FROM outbox WHERE shard = :shard AND id = :id FOR UPDATE")
_REPLACE = text(
    """
    UPDATE outbox SET messages = :messages, frame = :frame
     WHERE shard = :shard AND id = :id
    """
)
_DROP = text("DELETE FROM outbox WHERE shard = :shard AND id = :id")
PAGE_FRAMES = 16


async def revise(
    tx: AsyncConnection,
    needles: Sequence[bytes],
    change: Callable[[str, Message], Message | None],
) -> int:
    """Change what waits to be published and has one of the `needles` in it: `change` is given the
    topic and each message, and returns what is published instead, or None for nothing. How many
    messages changed.

    For erasure alone, which holds the locks of whoever could say more of the same people. What the
    relay has read by now may still be published as it was.
    """
    return sum([await _revise_frame(tx, *place, change) for place in await _naming(tx, needles)])


async def _naming(tx: AsyncConnection, needles: Sequence[bytes]) -> list[tuple[int, int]]:
    """The rows with one of the needles in a message, found without locks."""
    found: list[tuple[int, int]] = []
    place = (-1, -1)
    while page := (
        await tx.execute(_PAGE, {"shard": place[0], "id": place[1], "frames": PAGE_FRAMES})
    ).all():
        for shard, id_, frame in page:
            place = (shard, id_)
            if any(_names(message, needles) for message in decode_frame(frame)):
                found.append(place)
    return found


def _names(message: Message, needles: Sequence[bytes]) -> bool:
    parts = (message.key or b"", message.value or b"", *(value for _, value in message.headers))
    return any(needle in part for part in parts for needle in needles)


async def _revise_frame(
    tx: AsyncConnection, shard: int, id_: int, change: Callable[[str, Message], Message | None]
) -> int:
    """How many messages of a row changed; none where the relay was done with it meanwhile."""
    values: dict[str, Any] = {"shard": shard, "id": id_}
    row = (await tx.execute(_TAKE, values)).one_or_none()
    if row is None:
        return 0
    before = decode_frame(row.frame)
    after = [change(row.topic, message) for message in before]
    differ = sum(one is not two for one, two in zip(before, after, strict=True))
    kept = [message for message in after if message is not None]
    if differ and kept:
        values |= {"messages": len(kept), "frame": encode_frame(kept)}
        await tx.execute(_REPLACE, values)
    elif differ:
        await tx.execute(_DROP, values)
    return differ


async def backlog(tx: AsyncConnection) -> Backlog:
    """How much waits, for the metrics."""
    row = (await tx.execute(_BACKLOG)).one()
    return Backlog(row.frames, row.oldest)
