"""The documents of access requests, in parts: written one after the other, handed out until they
expire, then deleted."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_ADD_PART = text(
    """
    INSERT INTO privacy_export (request_id, part, body)
    SELECT CAST(:id AS uuid), coalesce(max(part) + 1, 0), :body FROM privacy_export
     WHERE request_id = CAST(:id AS uuid)
    """
)
_PART = text(
    """
    SELECT body FROM privacy_export
      JOIN privacy_request ON privacy_request.id = request_id
     WHERE request_id = CAST(:id AS uuid) AND part = :part AND expires_at > clock_timestamp()
    """
)
_FORGET_PARTS = text(
    """
    DELETE FROM privacy_export USING privacy_request AS r
     WHERE r.id = request_id AND r.profiles && CAST(:profiles AS uuid[])
    """
)
_FORGET_EXPIRED = text(
    """
    DELETE FROM privacy_export WHERE (request_id, part) IN (
        SELECT request_id, part FROM privacy_export
          JOIN privacy_request ON privacy_request.id = request_id
         WHERE expires_at <= clock_timestamp() LIMIT :limit)
    """
)


async def add(tx: AsyncConnection, id_: str, body: bytes) -> None:
    """Go on with the document of an access request; its row is locked."""
    await tx.execute(_ADD_PART, {"id": id_, "body": body})


async def read(tx: AsyncConnection, id_: str, number: int) -> bytes | None:
    """A part of a document that has not expired; None behind its end."""
    row = (await tx.execute(_PART, {"id": id_, "part": number})).one_or_none()
    return None if row is None else bytes(row.body)


async def forget_of(tx: AsyncConnection, profiles: Sequence[str]) -> int:
    """Delete what was exported of these profiles; how many parts."""
    return (await tx.execute(_FORGET_PARTS, {"profiles": profiles})).rowcount


async def forget_expired(tx: AsyncConnection, limit: int) -> int:
    """Delete parts of documents whose time is over; how many."""
    return (await tx.execute(_FORGET_EXPIRED, {"limit": limit})).rowcount
