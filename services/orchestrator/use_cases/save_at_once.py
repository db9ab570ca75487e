"""Save a template or a channel: a new version, which every worker uses within two seconds."""

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.storage import configuration, saved
from services.orchestrator.storage.saved import Body, Kind, Saved
from services.orchestrator.use_cases.check_configuration import check_saved
from shared import clock
from shared.postgres import audit
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
    async with transaction(engine) as tx:
        now = clock.now()
        before = await saved.lock(tx, kind, key)
        after = None
        if before is None:
            may_replace(None)
            after = await saved.insert(tx, kind, key, body, at=now, by=who.name)
            if after is None:  # somebody else made it a moment ago
                before = await saved.lock(tx, kind, key)
        if after is None:
            may_replace(None if before is None else before.version)
            after = await saved.update(tx, kind, key, body, at=now, by=who.name)
        await configuration.bump_epoch(tx)
        await audit.append(
            tx,
            who=who,
            kind=kind.value,
            key=key,
            action="save",
            before=None if before is None else before.body,
            after=after.body,
        )
        return after
