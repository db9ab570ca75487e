"""Registers a source: from then on its events are known by its name and settings."""

from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.domain.source import Source
from services.ingest.storage import sources
from services.ingest.storage.sources import StoredSource
from shared.contracts.topics import OWN_SOURCE
from shared.errors import Conflict
from shared.postgres import audit
from shared.postgres.audit import Who
from shared.postgres.transaction import transaction


async def register_source(engine: AsyncEngine, source: Source, who: Who) -> StoredSource:
    """Store the source. Raises Conflict when its id is taken, or Concert's own."""
    if source.id == OWN_SOURCE:
        raise Conflict(f"{OWN_SOURCE!r} is Concert itself: it needs no registration.")
    async with transaction(engine) as tx:
        stored = await sources.insert(tx, source, created_by=who.name)
        if stored is None:
            raise Conflict(f"There is a source {source.id!r} already.")
        await audit.append(
            tx, who=who, kind="source", key=source.id, action="create", after=stored._asdict()
        )
    return stored
