"""Lists in pages: `{"items": [...], "next_cursor": ...}` with `?limit=&cursor=`.

A cursor is opaque to callers: the sort key of the last item they saw. A page starts after it, so
what is added or removed meanwhile neither repeats nor hides the rest.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import orjson
from fastapi import Depends, Query
from pydantic import BaseModel

from shared.errors import Malformed

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAX_CURSOR = 1000
MAX_BIGINT = 2**63 - 1

Item = TypeVar("Item")
Row = TypeVar("Row")


class Page(BaseModel, Generic[Item]):
    """One page; `next_cursor` is null on the last one."""

    items: list[Item]
    next_cursor: str | None = None


class Paging(NamedTuple):
    """What the caller asked for; `limit` is at most MAX_LIMIT."""

    limit: int
    cursor: str | None

    def after(self, *parts: Callable[[Any], Any]) -> tuple[Any, ...] | None:
        """The sort key to start after, each part read by its function; None for the first page.

        The functions are those below, or UUID: what a caller forged must be refused here, since
        from the database it would come back as a mistake of ours.

        Raises Malformed when the cursor is not one that was given out.
        """
        if self.cursor is None:
            return None
        try:
            values = orjson.loads(base64.urlsafe_b64decode(self.cursor.encode()))
            return tuple(read(value) for read, value in zip(parts, values, strict=True))
        except (ValueError, TypeError, AttributeError, OverflowError, binascii.Error):
            raise Malformed("The cursor is not one that this list gave out.") from None


def whole(most: int) -> Callable[[Any], int]:
    """Reads a part of a cursor that is a number from 1 to `most`."""

    def read(value: Any) -> int:
        if type(value) is not int or not 0 < value <= most:
            raise ValueError(f"no number up to {most}")
        return value

    return read


def words(value: Any) -> str:
    """Reads a part of a cursor that is a text. Raises ValueError."""
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("no text that can be stored")
    return value


def instant(value: Any) -> datetime:
    """Reads a part of a cursor that is an instant; in UTC. Raises ValueError or OverflowError."""
    found = datetime.fromisoformat(value)
    if found.tzinfo is None:
        raise ValueError("no time zone")
    return found.astimezone(UTC)


def _paging(limit: int, cursor: str | None) -> Paging:
    return Paging(min(limit, MAX_LIMIT), cursor)


async def _asked(
    limit: Annotated[int, Query(ge=1, description=f"At most {MAX_LIMIT} are given.")] = (
        DEFAULT_LIMIT
    ),
    cursor: Annotated[str | None, Query(max_length=MAX_CURSOR)] = None,
) -> Paging:
    """Not a plain function: the framework would run that in a thread."""
    return _paging(limit, cursor)


Paged = Annotated[Paging, Depends(_asked)]
"""A handler's parameter `paging: Paged`."""


def split_page(
    rows: Sequence[Row], paging: Paging, key: Callable[[Row], tuple[Any, ...]]
) -> tuple[Sequence[Row], str | None]:
    """The rows of this page and the next cursor. Ask the database for `paging.limit + 1` rows.

    `key` gives the sort key of a row: values that JSON can hold, or dates and ids.
    """
    if len(rows) <= paging.limit:
        return rows, None
    shown = rows[: paging.limit]
    return shown, next_cursor(key(shown[-1]))


def next_cursor(key: tuple[Any, ...]) -> str:
    """The cursor of the page behind an item with this sort key."""
    return base64.urlsafe_b64encode(orjson.dumps(key, default=str)).decode()
