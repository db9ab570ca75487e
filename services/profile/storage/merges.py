"""The log of merges: which profile went into which, when, why, and what it brought along.

`number` is the order in which they happened: the merges that made a profile have smaller numbers
than the one in which it is lost, for that one waits for the profile's row. `at` is when the event
that caused it was received; events of several channels are not applied in that order.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.absorbed import Merge
from services.profile.domain.consent import ConsentRecord, Consents, Said, about
from services.profile.storage.identifiers import identifier_id
from shared.contracts.profile_update import Consent
from shared.contracts.touchpoint import Identifier

_INSERT = text(
    """
    INSERT INTO merge (id, winner, loser, winner_seq, at, cause, moved, before)
    SELECT id, winner, loser, winner_seq, CAST(at AS timestamptz), CAST(cause AS jsonb),
           CAST(string_to_array(moved, ',') AS uuid[]), CAST(before AS jsonb)
      FROM unnest(CAST(:ids AS uuid[]), CAST(:winners AS uuid[]), CAST(:losers AS uuid[]),
                  CAST(:seqs AS bigint[]), CAST(:at AS text[]), CAST(:causes AS text[]),
                  CAST(:moved AS text[]), CAST(:before AS text[]))
           WITH ORDINALITY AS new (id, winner, loser, winner_seq, at, cause, moved, before, place)
     ORDER BY place
    """
)


async def insert(tx: AsyncConnection, merges: Sequence[Merge]) -> None:
    """Log merges, in the order in which they happened."""
    if not merges:
        return
    await tx.execute(
        _INSERT,
        {
            "ids": [one.id for one in merges],
            "winners": [one.winner for one in merges],
            "losers": [one.loser for one in merges],
            "seqs": [one.winner_seq for one in merges],
            "at": [one.at for one in merges],
            "causes": [one.cause.decode() for one in merges],
            "moved": [",".join(map(identifier_id, one.moved)) for one in merges],
            "before": [_consents_before(one) for one in merges],
        },
    )


class LoggedMerge(NamedTuple):
    """A merge as it is listed. `moved` are the identifiers that went over to the winner."""

    id: str
    number: int
    winner: str
    loser: str
    at: datetime
    cause: dict[str, Any]
    moved: list[Identifier]
    undone_at: datetime | None


_OF_PROFILE = text(
    """
    WITH RECURSIVE past (id) AS (
        SELECT CAST(:profile_id AS uuid)
        UNION
        SELECT merge.loser FROM past JOIN merge ON merge.winner = past.id
         WHERE undone_at IS NULL
    )
    SELECT merge.id, number, winner, loser, at, cause, undone_at,
           (SELECT array_agg(ARRAY[type, value] ORDER BY type, value)
              FROM identifier WHERE identifier.id = ANY (merge.moved))
      FROM past JOIN merge ON merge.winner = past.id
     WHERE number > :after
     ORDER BY number
     LIMIT :limit
    """
)


async def of_profile(
    tx: AsyncConnection,
    profile_id: str,
    *,
    limit: int,
    after: int = 0,
) -> list[LoggedMerge]:
    """Every merge that made the profile what it is, oldest first.

    `after` is the number of the last one of the page before.
    """
    rows = await tx.execute(
        _OF_PROFILE,
        {"profile_id": profile_id, "after": after, "limit": limit},
    )
    return [
        LoggedMerge(
            str(id_),
            number,
            str(winner),
            str(loser),
            at,
            msgspec.json.decode(cause) if isinstance(cause, str | bytes) else cause,
            [Identifier(*one) for one in moved or ()],
            undone_at,
        )
        for id_, number, winner, loser, at, cause, undone_at, moved in rows
    ]


class Undoable(NamedTuple):
    """A merge with everything that undoing it needs; consents are those from before it."""

    id: str
    number: int
    winner: str
    loser: str
    cause: dict[str, Any]
    moved: list[str]
    winner_consents: Consents
    loser_consents: Consents
    undone_at: datetime | None


_READ = text(
    """
    SELECT id, number, winner, loser, cause, moved, before::text, undone_at
      FROM merge WHERE id = CAST(:id AS uuid)
    """
)
_INTO = text(
    """
    SELECT id FROM merge
     WHERE loser = CAST(:loser AS uuid) AND undone_at IS NULL ORDER BY number DESC LIMIT 1
    """
)
_MOVED_LATER = text(
    """
    SELECT DISTINCT unnest(moved) FROM merge
     WHERE winner = CAST(:winner AS uuid) AND number > :number AND undone_at IS NULL
    """
)
_UNDO = text("UPDATE merge SET undone_at = :at WHERE id = CAST(:id AS uuid)")


class _Kept(msgspec.Struct, array_like=True):
    """A consent as it is kept in the log."""

    purpose: str
    channel: str
    record: ConsentRecord


_before_decoder = msgspec.json.Decoder(dict[str, list[msgspec.Raw]])
_kept_decoder = msgspec.json.Decoder(_Kept)
_wire_decoder = msgspec.json.Decoder(Consent)


async def read(tx: AsyncConnection, merge_id: str) -> Undoable | None:
    """One merge; None if there never was one of this id."""
    row = (await tx.execute(_READ, {"id": merge_id})).one_or_none()
    if row is None:
        return None
    id_, number, winner, loser, cause, moved, before, undone_at = row
    consents = _before_decoder.decode(before)
    return Undoable(
        str(id_),
        number,
        str(winner),
        str(loser),
        msgspec.json.decode(cause) if isinstance(cause, str | bytes) else cause,
        [str(one) for one in moved],
        _records(consents["winner"]),
        _records(consents["loser"]),
        undone_at,
    )


async def of_loser(tx: AsyncConnection, profile_id: str) -> str:
    """The id of the merge by which a profile that is merged away was."""
    return str((await tx.execute(_INTO, {"loser": profile_id})).scalar_one())


async def moved_later(tx: AsyncConnection, merge: Undoable) -> list[str]:
    """The identifiers (by id) that later merges brought to the same winner."""
    rows = await tx.execute(_MOVED_LATER, {"winner": merge.winner, "number": merge.number})
    return [str(one) for one in rows.scalars()]


async def undo(tx: AsyncConnection, merge_id: str, *, at: datetime) -> None:
    """Log that a merge was undone."""
    await tx.execute(_UNDO, {"id": merge_id, "at": at})


def _consents_before(merge: Merge) -> str:
    return msgspec.json.encode(
        {"winner": _kept(merge.winner_consents), "loser": _kept(merge.loser_consents)}
    ).decode()


def _kept(consents: Consents) -> list[_Kept]:
    return [_Kept(*about(key), record) for key, record in consents.items()]


def _records(listed: Sequence[msgspec.Raw]) -> Consents:
    """The records; before they had proofs, merges kept them as they are on the wire."""
    found: Consents = {}
    for raw in listed:
        if bytes(raw).startswith(b"["):
            kept = _kept_decoder.decode(raw)
            found[f"{kept.purpose}\0{kept.channel}"] = kept.record
        else:
            one = _wire_decoder.decode(raw)
            said: Said = "denied" if one.status == "denied" else "granted"
            record = ConsentRecord(said, one.at or "", one.basis)
            found[f"{one.purpose}\0{one.channel}"] = record
    return found
