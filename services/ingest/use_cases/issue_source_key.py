"""Makes a key for a source. It is in the answer and nowhere else."""

import secrets
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.domain.source_key import (
    COLLECT,
    MAX_ACTIVE,
    Scope,
    is_active,
    key_hash,
    key_prefix,
    key_text,
)
from services.ingest.storage import sources
from services.ingest.storage.sources import StoredKey
from shared import clock
from shared.errors import Conflict, NotFound, Problem, Unprocessable
from shared.postgres import audit
from shared.postgres.audit import Who
from shared.postgres.transaction import transaction


async def issue_source_key(
    engine: AsyncEngine,
    source_id: str,
    who: Who,
    *,
    scopes: Sequence[Scope] = (COLLECT,),
    expires_at: datetime | None = None,
) -> tuple[StoredKey, str]:
    """The stored key and the key itself; it ends at `expires_at` (real time) if that is given.

    Raises NotFound when there is no such source, Unprocessable for an expiry that has passed,
    Conflict when two keys are active: one is in use, the other takes over, a third is a leak.
    """
    key = key_text(secrets.token_urlsafe(32))
    now = clock.now()
    if expires_at is not None and expires_at <= now:
        message = "must lie in the future"
        raise Unprocessable(
            f"expires_at: {message}.", [Problem("expires_at", "in_the_future", message)]
        )
    async with transaction(engine) as tx:
        if await sources.lock(tx, source_id) is None:
            raise NotFound(f"There is no source {source_id!r}.")
        others = await sources.keys(tx, source_id)
        active = [one.id for one in others if is_active(one.revoked_at, one.expires_at, now)]
        if len(active) >= MAX_ACTIVE:
            first = " or ".join(active)
            raise Conflict(f"A source has at most {MAX_ACTIVE} active keys: revoke {first} first.")
        stored = await sources.insert_key(
            tx,
            key_id=secrets.token_hex(8),
            source_id=source_id,
            prefix=key_prefix(key),
            key_sha256=key_hash(key),
            scopes=scopes,
            expires_at=expires_at,
            created_by=who.name,
        )
        await audit.append(
            tx, who=who, kind="source_key", key=stored.id, action="create", after=stored._asdict()
        )
    return stored, key
