"""What decisions saw, as it was kept beside them; `effects` writes it."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_FIND = text("SELECT body FROM replay_input WHERE decision_id = :id")


async def find(tx: AsyncConnection, decision_id: UUID) -> bytes | None:
    """What a decision saw; None when it considered nothing."""
    body: bytes | None = (await tx.execute(_FIND, {"id": decision_id})).scalar_one_or_none()
    return body
