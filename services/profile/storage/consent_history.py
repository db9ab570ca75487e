"""The history of consents: every statement with its proof, appended and never changed.

What a touchpoint said hangs on the identifier that the touchpoint hangs on (`anchor`), so it goes
where that goes, through merges, undone ones and splits. What was said about a profile itself stays
with that profile's id, and is found from whatever the profile has become.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.absorbed import Said
from services.profile.domain.consent_change import Entry
from services.profile.storage.identifiers import identifier_id


class Proof(msgspec.Struct, omit_defaults=True, frozen=True):
    """Who said it where: a touchpoint of a source, or somebody at the API. `ip` and `user_agent`
    are personal data."""

    source: str
    touchpoint_id: str | None = None
    actor: str | None = None
    ip: str | None = None
    user_agent: str | None = None
    note: str | None = None


class NewLine(NamedTuple):
    """An entry to be kept. `anchor` is the identifier that it hangs on; None: on the profile."""

    entry: Entry
    profile_id: str
    anchor: str | None
    proof: Proof


class Line(NamedTuple):
    """A line of the history, as it is read."""

    id: str
    profile_id: str
    purpose: str
    channel: str
    what: str
    status: str
    at: datetime
    basis: str | None
    text_version: str | None
    expires_at: datetime | None
    proof: dict[str, Any]
    recorded_at: datetime


_INSERT = text(
    """
    INSERT INTO consent_change (id, profile_id, anchor, purpose, channel, what, status, at, basis,
                                text_version, expires_at, proof)
    SELECT id, profile_id, anchor, purpose, channel, what, status, CAST(at AS timestamptz), basis,
           text_version, CAST(expires_at AS timestamptz), CAST(proof AS jsonb)
      FROM unnest(CAST(:ids AS uuid[]), CAST(:profiles AS uuid[]), CAST(:anchors AS uuid[]),
                  CAST(:purposes AS text[]), CAST(:channels AS text[]), CAST(:whats AS text[]),
                  CAST(:statuses AS text[]), CAST(:at AS text[]), CAST(:bases AS text[]),
                  CAST(:versions AS text[]), CAST(:expiries AS text[]), CAST(:proofs AS text[]))
           AS new (id, profile_id, anchor, purpose, channel, what, status, at, basis, text_version,
                   expires_at, proof)
    """
)


async def append(tx: AsyncConnection, lines: Sequence[NewLine]) -> None:
    """Add lines; nothing where there are none."""
    if not lines:
        return
    entries = [line.entry for line in lines]
    await tx.execute(
        _INSERT,
        {
            "ids": [one.id for one in entries],
            "profiles": [line.profile_id for line in lines],
            "anchors": [
                None if line.anchor is None else identifier_id(line.anchor) for line in lines
            ],
            "purposes": [one.purpose for one in entries],
            "channels": [one.channel for one in entries],
            "whats": [one.what for one in entries],
            "statuses": [one.status for one in entries],
            "at": [one.at for one in entries],
            "bases": [one.basis for one in entries],
            "versions": [one.text_version for one in entries],
            "expiries": [one.expires_at for one in entries],
            "proofs": [msgspec.json.encode(line.proof).decode() for line in lines],
        },
    )


async def append_said(tx: AsyncConnection, said: Sequence[Said]) -> None:
    """Add what touchpoints said; nothing where they said nothing."""
    if said:
        await append(
            tx,
            [
                NewLine(
                    one.entry,
                    one.profile_id,
                    one.anchor,
                    Proof(one.source, touchpoint_id=one.touchpoint_id),
                )
                for one in said
            ],
        )


_LINE = """change.id::text, change.profile_id::text, change.purpose, change.channel, change.what,
           change.status, change.at, change.basis, change.text_version, change.expires_at,
           change.proof::text, change.recorded_at"""
_OF_PROFILE = text(
    f"""
    WITH RECURSIVE past (id) AS (
        SELECT CAST(:profile_id AS uuid)
        UNION
        SELECT merge.loser FROM past JOIN merge ON merge.winner = past.id
         WHERE undone_at IS NULL
    ), found AS (
        (SELECT change.* FROM consent_change AS change
          WHERE anchor = ANY (CAST(:anchors AS uuid[]))
            AND (at, id) < (CAST(:before_at AS timestamptz), CAST(:before_id AS uuid))
          ORDER BY at DESC, id DESC LIMIT :limit)
        UNION ALL
        (SELECT change.* FROM consent_change AS change
          WHERE anchor IS NULL AND profile_id IN (SELECT id FROM past)
            AND (at, id) < (CAST(:before_at AS timestamptz), CAST(:before_id AS uuid))
          ORDER BY at DESC, id DESC LIMIT :limit)
    )
    SELECT {_LINE} FROM found AS change ORDER BY at DESC, id DESC LIMIT :limit
    """  # noqa: S608 - the columns are a constant of this module
)
_BY_ID = text(
    f"""
    SELECT {_LINE} FROM consent_change AS change WHERE id = ANY (CAST(:ids AS uuid[]))
    """  # noqa: S608 - as above
)
_END_OF_TIME = datetime.fromisoformat("9999-12-31T23:59:59.999999+00:00")
_LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"


async def of_profile(
    tx: AsyncConnection,
    profile_id: str,
    keys: Sequence[str],
    *,
    limit: int,
    before: tuple[datetime, str] | None = None,
) -> list[Line]:
    """What was said about an active profile that holds the identifiers `keys`, newest first.

    `before` is (at, id) of the last line of the page before.
    """
    before_at, before_id = before or (_END_OF_TIME, _LAST_ID)
    rows = await tx.execute(
        _OF_PROFILE,
        {
            "profile_id": profile_id,
            "anchors": [identifier_id(key) for key in keys],
            "before_at": before_at,
            "before_id": before_id,
            "limit": limit,
        },
    )
    return [_line(row) for row in rows]


_ANCHORS = text(
    """
    SELECT id::text, anchor::text FROM consent_change
     WHERE id = ANY (CAST(:ids AS uuid[])) AND anchor IS NOT NULL
    """
)


async def anchors(tx: AsyncConnection, ids: Sequence[str]) -> dict[str, str]:
    """The identifiers (by id) that those of the lines hang on that hang on one, by line."""
    if not ids:
        return {}
    return {row[0]: row[1] for row in await tx.execute(_ANCHORS, {"ids": ids})}


async def by_id(tx: AsyncConnection, ids: Sequence[str]) -> dict[str, Line]:
    """The lines with these ids."""
    if not ids:
        return {}
    lines = [_line(row) for row in await tx.execute(_BY_ID, {"ids": ids})]
    return {line.id: line for line in lines}


def _line(row: Sequence[Any]) -> Line:
    *fields, proof, recorded_at = row
    return Line._make([*fields, msgspec.json.decode(proof), recorded_at])
