"""Switches a channel off because its receiver said that it wants nothing any more (410 Gone)."""

from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.storage import saved
from services.orchestrator.storage.saved import Kind
from shared import clock
from shared.postgres import audit, epochs
from shared.postgres.documents import save_document

WHO = audit.Who("deliver", "deliver: the receiver answered 410")


async def switch_off(tx: AsyncConnection, key: str) -> None:
    """Save the channel as it is, but off. What is queued waits; a person switches it on again."""
    present = await saved.lock(tx, Kind.CHANNEL, key)
    if present is None or present.body.get("enabled") is False:
        return
    body = present.body | {"enabled": False}
    now = clock.now()
    await save_document(
        tx,
        Kind.CHANNEL,
        key,
        lock=partial(saved.lock, tx, Kind.CHANNEL, key),
        insert=partial(saved.insert, tx, Kind.CHANNEL, key, body, at=now, by=WHO.name),
        update=partial(saved.update, tx, Kind.CHANNEL, key, body, at=now, by=WHO.name),
        may_replace=lambda _: None,
        who=WHO,
    )
    await epochs.bump_epoch(tx)
