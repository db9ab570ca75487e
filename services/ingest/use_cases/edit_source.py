"""Changes what ingest was told about a source; its id and its channel stay."""

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.domain.source import Source
from services.ingest.storage import sources
from services.ingest.storage.sources import StoredSource
from shared.errors import NotFound, Problem, Unprocessable
from shared.postgres import audit
from shared.postgres.audit import Who
from shared.postgres.transaction import transaction


async def edit_source(
    engine: AsyncEngine, source: Source, who: Who, *, may_replace: Callable[[int], None]
) -> StoredSource:
    """The source as its next version.

    `may_replace` is given the present version and raises what forbids the write. Raises NotFound
    when there is no such source, Unprocessable when it is to move to another channel.
    """
    async with transaction(engine) as tx:
        before = await sources.lock(tx, source.id)
        if before is None:
            raise NotFound(f"There is no source {source.id!r}.")
        may_replace(before.version)
        if source.channel != before.channel:
            message = (
                f"is {before.channel!r} for good: events of this source lie on that channel's"
                " topic, and some may not be read yet; register another source"
            )
            raise Unprocessable(f"channel: {message}.", [Problem("channel", "immutable", message)])
        after = await sources.update(tx, source)
        await audit.append(
            tx,
            who=who,
            kind="source",
            key=source.id,
            action="save",
            before=before._asdict(),
            after=after._asdict(),
        )
    return after
