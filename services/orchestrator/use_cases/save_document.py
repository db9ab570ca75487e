"""Save a document under its key: the first time or again, audited, with nobody in between.

Drafts and what is live on saving have this in common; the verbs are `save_draft`, `save_at_once`.
"""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from shared.postgres import audit


class Stored(Protocol):
    """A row that holds a document."""

    @property
    def body(self) -> dict[str, Any]: ...


Row = TypeVar("Row", bound=Stored)


async def save_document(
    tx: AsyncConnection,
    kind: StrEnum,
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
        kind=kind.value,
        key=key,
        action="save",
        before=None if before is None else before.body,
        after=after.body,
    )
    return after
