"""Saves a document under its key, the first time or again, and makes a draft a version: audited,
with nobody in between.

What the kinds of configuration have in common; the verbs with their checks are use cases.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from shared import clock
from shared.postgres import audit, drafts
from shared.postgres.drafts import Body, Draft, Status


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


async def save_draft(
    tx: AsyncConnection,
    kind: str,
    key: str,
    body: Body,
    *,
    may_replace: Callable[[int | None], None],
    who: audit.Who,
) -> Draft:
    """The draft as it now stands, with its new number; what is live stays as it is.

    `may_replace` is given the number of the present draft, or None, and raises what forbids the
    write.
    """
    now = clock.now()
    return await save_document(
        tx,
        kind,
        key,
        lock=partial(drafts.lock, tx, kind, key),
        insert=partial(drafts.insert, tx, kind, key, body, at=now, by=who.name),
        update=partial(drafts.update, tx, kind, key, body, at=now, by=who.name),
        may_replace=lambda row: may_replace(None if row is None else row.draft_version),
        who=who,
    )


async def change_draft_status(
    tx: AsyncConnection,
    kind: str,
    draft: Draft,
    status: Status,
    *,
    action: str,
    who: audit.Who,
    asked: Mapping[str, Any] | None = None,
) -> Draft:
    """The key with `draft`, which has to be locked, in another status; `action` is its name in the
    audit log, and `asked` what else was asked for with it."""
    changed = await drafts.set_status(tx, kind, draft.key, status, at=clock.now(), by=who.name)
    await audit.append(
        tx,
        who=who,
        kind=str(kind),
        key=draft.key,
        action=action,
        before={"status": draft.status, "version": draft.live_version},
        after={"status": changed.status, "version": changed.live_version, **(asked or {})},
    )
    return changed


async def publish_document(
    tx: AsyncConnection,
    kind: str,
    draft: Draft,
    *,
    who: audit.Who,
    body: Body | None = None,
    status: Status = Status.LIVE,
) -> Draft:
    """The key with `draft`, which has to be locked, as its new live version; or with `body` as
    that, while the draft stays what it is. `status` is PAUSED for what stays paused."""
    now = clock.now()
    was_live = await drafts.version(tx, kind, draft.key, draft.live_version)
    version = await drafts.insert_version(tx, kind, draft.key, at=now, by=who.name, body=body)
    published = await drafts.set_status(
        tx, kind, draft.key, status, version=version.version, at=now, by=who.name
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
