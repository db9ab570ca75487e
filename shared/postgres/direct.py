"""Statements on the driver itself, for requests that have milliseconds.

The pool and the statements are SQLAlchemy's, as everywhere. What it does for each statement beside
(a greenlet, a context, a cursor, a result) costs several times what the driver takes, and a plain
`text` with plain values needs none of it.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any

import asyncpg
from sqlalchemy import TextClause
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.postgres.transaction import database_errors

_DIALECT: Any = dialect()  # type: ignore[no-untyped-call]
_IN_DOUBT = (
    asyncpg.InternalClientError,  # the server ended it, the driver has not noticed
    asyncio.CancelledError,
    TimeoutError,
)
"""After these nobody knows where a connection stands. Who was given one that is still in a
transaction would add to it, and what they commit would be lost."""


class DirectRow(asyncpg.Record):  # type: ignore[misc]  # the driver's types are unknown
    """A row whose columns are attributes too."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class DirectRows:
    """All rows that a statement returned."""

    def __init__(self, rows: Sequence[DirectRow]) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[DirectRow]:
        return iter(self._rows)

    def all(self) -> Sequence[DirectRow]:
        """Every row."""
        return self._rows

    def one(self) -> DirectRow:
        """The only row. Raises ValueError when there is another number of them."""
        (row,) = self._rows
        return row

    def scalars(self) -> Iterator[Any]:
        """The first column of every row."""
        return (row[0] for row in self._rows)


class Direct:
    """One connection. What is executed outside of a block of `transaction` commits by itself."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def execute(
        self, statement: TextClause, values: Mapping[str, Any] | None = None
    ) -> DirectRows:
        """All rows of a statement; it is prepared once for each connection."""
        sql, names = _compiled(statement)
        given = [values[name] for name in names] if values else ()
        return DirectRows(await self._connection.fetch(sql, *given, record_class=DirectRow))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Commit at the end of the block, roll back if it raises."""
        async with self._connection.transaction():
            yield


@asynccontextmanager
async def direct(engine: AsyncEngine) -> AsyncIterator[Direct]:
    """A connection of the engine's pool for as long as the block.

    Raises Infrastructure when PostgreSQL is away, ended the connection or asks for another try.
    """
    with database_errors():
        async with engine.connect() as pooled:
            connection: Any = (await pooled.get_raw_connection()).driver_connection
            lost = False
            try:
                yield Direct(connection)
            except _IN_DOUBT:
                lost = True
                raise
            finally:
                if lost or connection.is_closed():  # nobody tells the pool else
                    await pooled.invalidate()


@lru_cache(maxsize=1024)
def _compiled(statement: TextClause) -> tuple[str, Sequence[str]]:
    """The driver's SQL, and the names of its parameters in their order."""
    compiled = statement.compile(dialect=_DIALECT)
    return str(compiled), tuple(compiled.positiontup or ())
