"""Pages: limits, opaque cursors, and that a walk sees each row once."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest

from shared.errors import Malformed
from shared.http.pagination import (
    MAX_BIGINT,
    MAX_LIMIT,
    Paging,
    _paging,
    instant,
    split_page,
    whole,
    words,
)


def test_the_limit_is_capped() -> None:
    assert _paging(10_000, None).limit == MAX_LIMIT
    assert _paging(3, None).limit == 3


@pytest.mark.parametrize("total", [0, 1, 2, 3, 7])
def test_a_walk_sees_each_row_once(total: int) -> None:
    rows = list(range(1, total + 1))
    seen: list[int] = []
    cursor: str | None = None
    for _ in range(10):
        paging = Paging(2, cursor)
        after = paging.after(whole(100))
        rest = [row for row in rows if after is None or row > after[0]]
        shown, cursor = split_page(rest[: paging.limit + 1], paging, lambda row: (row,))
        seen += shown
        if cursor is None:
            break
    assert seen == rows


def test_a_sort_key_of_date_and_id_comes_back() -> None:
    at = datetime(2026, 11, 21, 10, 0, 0, 123456, tzinfo=UTC)
    _, cursor = split_page([(at, "a"), (at, "b")], Paging(1, None), lambda row: row)
    assert Paging(1, cursor).after(instant, words) == (at, "a")


@pytest.mark.parametrize("cursor", ["x", "", "W10=", "WyJhIl0=", "bnVsbA==", "\u00e9", "e30="])
def test_a_cursor_that_was_not_given_out_is_refused(cursor: str) -> None:
    with pytest.raises(Malformed):
        Paging(10, cursor).after(whole(MAX_BIGINT))


@pytest.mark.parametrize(
    ("part", "forged"),
    [
        *((whole(MAX_BIGINT), value) for value in (0, -1, MAX_BIGINT + 1, 1.5, "1", True, None)),
        *((words, value) for value in ("a\0", 1, None, ["a"])),
        *((instant, value) for value in ("2026-11-21T10:00:00", "0001-01-01T00:00:00+14:00", 5)),
        *((UUID, value) for value in ("x", 5, None, ["a"])),
    ],
)
def test_a_forged_part_never_reaches_the_database(part: Callable[[Any], Any], forged: Any) -> None:
    cursor = base64.urlsafe_b64encode(orjson.dumps([forged])).decode()
    with pytest.raises(Malformed):
        Paging(10, cursor).after(part)
