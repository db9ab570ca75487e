"""Ends a key of a source; collectors refuse it within seconds."""

from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.storage import sources
from shared.errors import NotFound
from shared.postgres import audit
from shared.postgres.audit import Who
from shared.postgres.transaction import transaction


async def revoke_source_key(engine: AsyncEngine, source_id: str, key_id: str, who: Who) -> None:
    """End the key. Raises NotFound when the source has no such key, or it was ended before."""
    async with transaction(engine) as tx:
        stored = await sources.revoke_key(tx, source_id, key_id)
        if stored is None:
            raise NotFound("There is no such key of this source, or it was revoked before.")
        after = stored._asdict()
        await audit.append(
            tx,
            who=who,
            kind="source_key",
            key=key_id,
            action="revoke",
            before={**after, "revoked_at": None},
            after=after,
        )
