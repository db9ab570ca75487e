"""Saves a document under its key, the first time or again, and makes a draft a version: audited,
with nobody in between.

What the kinds of configuration have in common; the verbs with their checks are use cases.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from shared import clock
from shared.postgres import audit, drafts
from shared.postgres.drafts import Draft, Status


class Stored(Protocol):
    """A row that holds a document."""

    @property
    def body(self) -> dict[str, Any]: ...


Row = TypeVar("Row", bound=Stored)


async def save_document(
    tx: AsyncConnection,
    kind: str,
    key: str,
    *,
    lock: Callable[[], Awaitable[Row | None]],
    insert: Callable[[], Awaitable[Row | None]],
    update: Callable[[], Awaitable[Row]],
    may_replace: Callable[[Row | None], None],
    who: audit.Who,
) -> Row:
    """The row as it now stands.

    `may_replace` is given the present row, or None, and raises what forbids the write. `insert`
    returns None when somebody else made the row a moment ago.
    """
    before, after = await lock(), None
    if before is None:
        may_replace(None)
        after = await insert()
        if after is None:
            before = await lock()
    if after is None:
        may_replace(before)
        after = await update()
    await audit.append(
        tx,
        who=who,
        kind=str(kind),
        key=key,
        action="save",
        before=None if before is None else before.body,
        after=after.body,
    )
    return after


async def publish_document(
    tx: AsyncConnection, kind: str, draft: Draft, *, who: audit.Who
) -> Draft:
    """The key with `draft`, which has to be locked, as its new live version."""
    now = clock.now()
    was_live = await drafts.version(tx, kind, draft.key, draft.live_version)
    version = await drafts.insert_version(tx, kind, draft.key, at=now, by=who.name)
    published = await drafts.set_status(
        tx, kind, draft.key, Status.LIVE, version=version.version, at=now, by=who.name
    )
    await audit.append(
        tx,
        who=who,
        kind=str(kind),
        key=draft.key,
        action="publish",
        before=None if was_live is None else {"version": was_live.version, **was_live.body},
        after={"version": version.version, **version.body},
    )
    return published
