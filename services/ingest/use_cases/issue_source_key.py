"""Makes a key for a source. It is in the answer and nowhere else."""

import secrets

from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.domain.source_key import key_hash, key_prefix, key_text
from services.ingest.storage import sources
from services.ingest.storage.sources import StoredKey
from shared.errors import NotFound
from shared.postgres import audit
from shared.postgres.audit import Who
from shared.postgres.transaction import transaction


async def issue_source_key(engine: AsyncEngine, source_id: str, who: Who) -> tuple[StoredKey, str]:
    """The stored key and the key itself. Raises NotFound when there is no such source."""
    key = key_text(secrets.token_urlsafe(32))
    async with transaction(engine) as tx:
        if await sources.find(tx, source_id) is None:
            raise NotFound(f"There is no source {source_id!r}.")
        stored = await sources.insert_key(
            tx,
            key_id=secrets.token_hex(8),
            source_id=source_id,
            prefix=key_prefix(key),
            key_sha256=key_hash(key),
            created_by=who.name,
        )
        await audit.append(
            tx, who=who, kind="source_key", key=stored.id, action="create", after=stored._asdict()
        )
    return stored, key
