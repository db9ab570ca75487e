"""Save a template or a channel: a new version, which every worker uses within two seconds."""

from collections.abc import Callable
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.storage import saved
from services.orchestrator.storage.saved import Body, Kind, Saved
from services.orchestrator.use_cases.check_configuration import check_saved
from shared import clock
from shared.postgres import audit, epochs
from shared.postgres.documents import save_document
from shared.postgres.transaction import transaction


async def save_at_once(
    engine: AsyncEngine,
    kind: Kind,
    key: str,
    body: Body,
    *,
    may_replace: Callable[[int | None], None],
    who: audit.Who,
) -> Saved:
    """The version that is now in force.

    `may_replace` is given the present version's number, or None, and raises what forbids the
    write. Raises Unprocessable with every mistake of the body.
    """
    check_saved(kind, key, body)
    now = clock.now()
    async with transaction(engine) as tx:
        made = await save_document(
            tx,
            kind,
            key,
            lock=partial(saved.lock, tx, kind, key),
            insert=partial(saved.insert, tx, kind, key, body, at=now, by=who.name),
            update=partial(saved.update, tx, kind, key, body, at=now, by=who.name),
            may_replace=lambda row: may_replace(None if row is None else row.version),
            who=who,
        )
        await epochs.bump_epoch(tx)
        return made
