"""Several writes in one round trip: each is a part of one statement.

For writes that do not depend on each other: all of them see the tables as they were before, and no
row may be written by two.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import TextClause, text

from shared.postgres.transaction import Tx

_PARAMETER = re.compile(r"(?<![:\w]):(?=[a-z])")


class Part(NamedTuple):
    """A statement with its values; `returns`: how many rows it returns is of interest."""

    statement: TextClause
    values: Mapping[str, Any]
    returns: bool = False


async def write_together(tx: Tx, parts: Sequence[Part]) -> list[int]:
    """Execute all parts; for each that `returns`, in their order, how many rows it returned."""
    if not parts:
        return []
    if len(parts) == 1:
        (only,) = parts
        done = await tx.execute(only.statement, only.values)
        return [len(done.all())] if only.returns else []
    values = {
        f"p{place}_{name}": value
        for place, part in enumerate(parts)
        for name, value in part.values.items()
    }
    shape = tuple((part.statement.text, part.returns) for part in parts)
    return list((await tx.execute(_joined(shape), values)).one())[1:]


@lru_cache(maxsize=256)
def _joined(shape: tuple[tuple[str, bool], ...]) -> TextClause:
    parts = [
        f"s{place} AS ({_PARAMETER.sub(f':p{place}_', statement)})"
        for place, (statement, _) in enumerate(shape)
    ]
    counts = [
        f", (SELECT count(*) FROM s{place})"  # noqa: S608 - a number
        for place, (_, returns) in enumerate(shape)
        if returns
    ]
    return text(f"WITH {', '.join(parts)} SELECT 1{''.join(counts)}")
